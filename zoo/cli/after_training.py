"""The end of ``zoo fit``: the test of the trained network, and what is logged of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import LightningDataModule, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.loggers import CSVLogger

from zoo.cli.trackers import log_result
from zoo.models import ZooModule
from zoo.runs.checkpoint import read_checkpoint, write_weights


def test_trained_network(
    trainer: Trainer, module: LightningModule, data: LightningDataModule, settings: Any, seed: int | bool
) -> Path | None:
    """Test the trained network, log its metrics, and return its checkpoint.

    Args:
        trainer: The Trainer, whose training has ended.
        module: The network.
        data: The images.
        settings: The Trainer's settings in the config.
        seed: ``seed_everything`` in the config.

    Returns:
        The checkpoint, or None if none was saved.
    """
    path, is_in_memory = _trained_checkpoint(trainer, module)
    fitted = dict(trainer.callback_metrics)
    if settings.get("limit_test_batches") != 0:
        # From memory where that is possible: other machines may not share the first one's disk.
        _keep_logged_metrics(trainer, str(settings["strategy"]))
        source: Any = {"ckpt_path": None if is_in_memory else str(path), "weights_only": True}
        trainer.test(module, datamodule=data, verbose=False, **source)
    run = {"seed_everything": seed, "max_epochs": trainer.max_epochs}
    metrics = {**fitted, **trainer.callback_metrics}
    final = {name: float(value) for name, value in metrics.items() if name.startswith(("val_", "test_"))}
    log_result(trainer, run, final, path)
    return path


def next_verb(trainer: Trainer, module: ZooModule, data: LightningDataModule) -> str | None:
    """Return the verb that evaluates a trained network: ``test``, ``predict``, or None without test images.

    Args:
        trainer: The Trainer, after the test, if there were test images with labels.
        module: The network.
        data: The images.
    """
    if trainer.limit_test_batches == 0 or module.test_summary(trainer.callback_metrics) is not None:
        return "test"
    return "predict" if len(getattr(data, "splits", {}).get("test", ())) else None


def _keep_logged_metrics(trainer: Trainer, strategy: str) -> None:
    """Leave out the CSV logger in an evaluation after a training in spawned processes.

    The new processes would begin the file anew, and what was logged in training would be lost.

    Args:
        trainer: The Trainer.
        strategy: The strategy as it is configured.
    """
    if any(method in strategy for method in ("spawn", "fork", "notebook")):
        trainer.loggers = [logger for logger in trainer.loggers if not isinstance(logger, CSVLogger)]


def _trained_checkpoint(trainer: Trainer, module: LightningModule) -> tuple[Path | None, bool]:
    """Return the checkpoint of the trained network, and whether its weights are in memory as well.

    Some callbacks change the weights after the last step, to their average for example. The last checkpoint still holds
    those that the training would go on with. The trained network then gets a file of its own.

    Args:
        trainer: The Trainer, whose training has ended.
        module: The network.
    """
    savers = [callback for callback in trainer.checkpoint_callbacks if isinstance(callback, ModelCheckpoint)]
    callback = next((callback for callback in savers if callback.best_model_path), None)
    if callback is None:
        return None, True
    path = Path(callback.best_model_path)
    if callback.monitor != "step":
        return path, False
    if trainer.is_global_zero and not _holds(path, module):
        path = path.with_name(f"trained-{path.name}")
        write_weights(module, dict(module.hparams), path)
    return path, True


def _holds(path: Path, module: LightningModule) -> bool:
    saved, current = read_checkpoint(path).state_dict, module.state_dict()
    return saved.keys() == current.keys() and all(
        torch.equal(value.cpu(), saved[name]) for name, value in current.items()
    )
