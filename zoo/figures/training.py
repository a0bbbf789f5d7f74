"""Short training runs for the figures, one for each setting and seed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import Logger
from tqdm import tqdm

from zoo.callbacks.progress import EpochProgressBar
from zoo.data import MNISTDataModule
from zoo.models import ZooModule
from zoo.utils.console import is_interactive
from zoo.utils.lightning_logging import quieten_lightning


@dataclass(frozen=True)
class Run:
    """A finished training run."""

    model: ZooModule
    data: MNISTDataModule
    epoch_metrics: list[dict[str, float]]
    """The logged metrics of each epoch, by name."""


class _InMemoryLogger(Logger):
    """A logger that keeps the metrics of each epoch in memory."""

    name = "pictures"
    version = 0

    def __init__(self) -> None:
        super().__init__()
        self.epochs: dict[int, dict[str, float]] = {}

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Ignore the hyperparameters."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add metrics to those of their epoch."""
        epoch_metrics = dict(metrics)
        self.epochs.setdefault(int(epoch_metrics.pop("epoch")), {}).update(epoch_metrics)


class _TrainingAccuracy(Callback):
    """Logs ``training_acc`` after each epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("training_acc", _training_accuracy(trainer, pl_module))


@torch.no_grad()
def _training_accuracy(trainer: Trainer, model: LightningModule) -> float:
    """Return the accuracy on the unaugmented training images, without dropout.

    The logged ``train_acc`` is measured during training, with augmentation and dropout.
    """
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    images, labels, *_ = data.training_set().get_batch(range(len(data.training_set())))
    model.eval()
    accuracy = (model(images).argmax(dim=1) == labels).float().mean()
    model.train()
    return float(accuracy)


def train(
    make_model: Callable[[], ZooModule],
    seed: int,
    epochs: int,
    validate: bool = True,
    measure_training: bool = False,
    **data: Any,
) -> Run:
    """Train a network on the CPU, without writing files or printing.

    Args:
        make_model: Creates the network. It is called after the seed is set.
        seed: Seed of the initial weights, the noise and the order of the images.
        epochs: Number of epochs.
        validate: Whether to evaluate on the validation images after each epoch.
        measure_training: Whether to log the accuracy on the unaugmented training images, without dropout, as
            ``training_acc``.
        **data: Arguments of `MNISTDataModule`.

    Returns:
        The trained network, its data and the metrics of each epoch.
    """
    seed_everything(seed, verbose=False)
    module = MNISTDataModule(seed=seed, **data)
    module.prepare_data()
    module.setup("fit")
    model = make_model()
    logger = _InMemoryLogger()
    callbacks = [_TrainingAccuracy()] if measure_training else []
    fit(model, module, epochs, *callbacks, logger=logger, limit_val_batches=None if validate else 0)
    return Run(model, module, [logger.epochs[epoch] for epoch in sorted(logger.epochs)])


def fit(model: ZooModule, data: LightningDataModule, epochs: int, *callbacks: Callback, **trainer: Any) -> None:
    """Train a network on the CPU without writing files.

    Args:
        model: The network.
        data: Its data.
        epochs: Number of epochs.
        *callbacks: Callbacks of the trainer. The progress bar is enabled only if `EpochProgressBar` is among them.
        **trainer: Further arguments of `pytorch_lightning.Trainer`.
    """
    quieten_lightning()
    Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=any(isinstance(callback, EpochProgressBar) for callback in callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **{"logger": False, **trainer},
    ).fit(model, datamodule=data)


def progress(steps: Iterable[Any], description: str) -> Any:
    """Iterate over ``steps`` with a progress bar, which is shown only in a terminal or a notebook."""
    return tqdm(list(steps), desc=description, leave=False, disable=not is_interactive())
