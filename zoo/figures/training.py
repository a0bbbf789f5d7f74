"""Trainings for pictures: short, many, and each from a seed of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.loggers import Logger
from tqdm import tqdm

from zoo.callbacks.progress import EpochLines
from zoo.data import MNISTDataModule
from zoo.models import ZooModule
from zoo.utils.console import is_watched
from zoo.utils.lightning_logging import quieten_lightning


@dataclass(frozen=True)
class Run:
    """A training that is over."""

    model: ZooModule
    data: MNISTDataModule
    curves: list[dict[str, float]]
    """What was logged, epoch by epoch, by name."""


class _Log(Logger):
    """Keeps what is logged in memory, by epoch."""

    name = "pictures"
    version = 0

    def __init__(self) -> None:
        super().__init__()
        self.epochs: dict[int, dict[str, float]] = {}

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None:
        """Nothing to keep."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Add to what the epoch has."""
        figures = dict(metrics)
        self.epochs.setdefault(int(figures.pop("epoch")), {}).update(figures)


class _TrainingAccuracy(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        pl_module.log("training_acc", _training_accuracy(trainer, pl_module))


@torch.no_grad()
def _training_accuracy(trainer: Trainer, model: LightningModule) -> float:
    """Of the training images as they are, without dropout: what is logged while they are trained on has both."""
    data: Any = trainer.datamodule  # type: ignore[attr-defined]
    images, labels, *_ = data.training_set().__getitems__(range(len(data.training_set())))
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
    """Train a network as the pictures need it: on the CPU, without files, without a line.

    Args:
        make_model: Makes it, after the seed is set.
        seed: Of its initial values, its noise and the order of the images.
        epochs: How many.
        validate: Whether to measure the validation images after each.
        measure_training: Whether to measure the training images too, unaugmented and without dropout, as
            ``training_acc``.
        **data: The DataModule's arguments.
    """
    seed_everything(seed, verbose=False)
    module = MNISTDataModule(seed=seed, **data)
    module.prepare_data()
    module.setup("fit")
    model = make_model()
    log = _Log()
    callbacks = [_TrainingAccuracy()] if measure_training else []
    fit(model, module, epochs, *callbacks, logger=log, limit_val_batches=None if validate else 0)
    return Run(model, module, [log.epochs[epoch] for epoch in sorted(log.epochs)])


def fit(model: ZooModule, data: MNISTDataModule, epochs: int, *callbacks: Callback, **trainer: Any) -> None:
    """Train a network without files; its bar and lines are shown if `EpochLines` is among the callbacks."""
    quieten_lightning()
    Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        callbacks=list(callbacks),
        enable_checkpointing=False,
        enable_progress_bar=any(isinstance(callback, EpochLines) for callback in callbacks),
        enable_model_summary=False,
        num_sanity_val_steps=0,
        **{"logger": False, **trainer},
    ).fit(model, datamodule=data)


def progress(steps: Iterable[Any], description: str) -> Any:
    """Return ``steps`` with a bar where there is a terminal."""
    return tqdm(list(steps), desc=description, leave=False, disable=not is_watched())
