"""Experiment trackers: what a run gives to the loggers of its config besides the metrics that Lightning logs.

`configs/trainer/` has a fragment for each: CSV, TensorBoard, MLflow and Weights & Biases. They may be combined.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml
from pytorch_lightning import Trainer
from pytorch_lightning.loggers import CSVLogger, Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from zoo.utils.errors import UsageError
from zoo.utils.wording import install_extra

RUN_FOLDER = "{run}"
"""As ``save_dir`` of a logger, it stands for the folder of the run."""
EXTRA = "tracking"
PACKAGES = {"MLFlowLogger": ("mlflow",), "WandbLogger": ("wandb",)}
"""Packages that loggers need, by the name of the logger's class."""
DATABASE_PACKAGES = ("sqlalchemy", "alembic")
"""What MLflow needs besides to write to a database."""


def check_trackers(loggers: Any) -> None:
    """Check that the packages of a config's loggers are installed.

    Args:
        loggers: ``trainer.logger`` in the config, before the loggers are made.

    Raises:
        UsageError: One is missing.
    """
    for logger in loggers if isinstance(loggers, list) else [loggers]:
        name = str(getattr(logger, "class_path", "")).rpartition(".")[2]
        packages = PACKAGES.get(name, ())
        uri = str((logger.get("init_args") or {}).get("tracking_uri") or "") if packages else ""
        if name == "MLFlowLogger" and not uri.startswith(("http", "file")):
            packages = (*packages, *DATABASE_PACKAGES)
        if missing := [package for package in packages if not find_spec(package)]:
            raise UsageError(f"{name} needs {', '.join(missing)}: {install_extra(EXTRA)}.")


def in_run_folder(loggers: Iterable[Logger], place: Mapping[str, str]) -> list[Logger]:
    """Return the loggers, of which those with `RUN_FOLDER` as their ``save_dir`` write to the folder of the run.

    Args:
        loggers: The loggers of the config.
        place: ``save_dir``, ``name`` and ``version`` of the run's folder.
    """
    return [_moved(logger, place) for logger in loggers]


def _moved(logger: Logger, place: Mapping[str, str]) -> Logger:
    if isinstance(logger, CSVLogger) and str(logger._save_dir) == RUN_FOLDER:
        return CSVLogger(
            **place,
            prefix=logger._prefix,
            flush_logs_every_n_steps=logger._flush_logs_every_n_steps,
        )
    if isinstance(logger, TensorBoardLogger) and str(logger._root_dir) == RUN_FOLDER:
        # Not made anew, because it takes any argument of TensorBoard's writer.
        logger._root_dir, logger._name, logger._version = place["save_dir"], place["name"], place["version"]
    return logger


def log_config(loggers: Iterable[Logger], config: Path) -> None:
    """Give the trackers the run's config as a file, and the run the name of its folder, such as ``dropout/version_0``.

    Args:
        loggers: The loggers of the run.
        config: ``config.yaml`` in the folder of the run.
    """
    name = f"{config.parent.parent.name}/{config.parent.name}"
    for logger in loggers:
        if isinstance(logger, MLFlowLogger):
            client, run_id = logger.experiment, logger.run_id
            client.set_tag(run_id, "mlflow.runName", name)
            client.log_artifact(run_id, str(config))
        elif isinstance(logger, WandbLogger):
            run: Any = logger.experiment
            run.name = name
            settings = yaml.safe_load(config.read_text(encoding="utf-8"))
            run.config.update({"config": settings}, allow_val_change=True)
            _log_artifact(run, config, name, "config")


def log_result(
    trainer: Trainer, settings: Mapping[str, Any], metrics: Mapping[str, float], checkpoint: Path | None
) -> None:
    """Give the trackers the result of a run, after its test.

    Args:
        trainer: The Trainer, whose loggers are asked.
        settings: Settings of the run that are no arguments of the network.
        metrics: The last validation and test metrics.
        checkpoint: The trained network.
    """
    final = {f"final/{name}": value for name, value in metrics.items()}
    for logger in trainer.loggers:
        if isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams({**logger.hparams, **settings}, final, trainer.global_step)
            logger.save()
            logger.finalize("success")  # which the test did before; a writer that is left open keeps its thread
        elif isinstance(logger, MLFlowLogger | WandbLogger):
            logger.log_hyperparams(dict(settings))
            logger.log_metrics(final, trainer.global_step)
            if checkpoint is not None and trainer.is_global_zero:
                _log_checkpoint(logger, checkpoint)


def _log_checkpoint(logger: MLFlowLogger | WandbLogger, checkpoint: Path) -> None:
    if isinstance(logger, MLFlowLogger):
        logger.experiment.log_artifact(logger.run_id, str(checkpoint), "checkpoints")
    else:
        run: Any = logger.experiment
        _log_artifact(run, checkpoint, run.name, "model")


def _log_artifact(run: Any, path: Path, name: str, kind: str) -> None:
    """Log a file as an artifact of a W&B run. Offline, it is uploaded by ``wandb sync``."""
    import wandb

    artifact = wandb.Artifact(f"{name.replace('/', '-')}-{kind}", type=kind)
    artifact.add_file(str(path), name=path.name)
    run.log_artifact(artifact)


def end_trackers(loggers: Iterable[Logger]) -> None:
    """End the W&B runs of a process, whose next run would be taken for the same one."""
    for logger in loggers:
        run = getattr(logger, "_experiment", None)
        if isinstance(logger, WandbLogger) and run is not None:
            run.finish()
