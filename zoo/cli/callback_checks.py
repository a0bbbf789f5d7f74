"""Checks of the callbacks in a config before the first step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pytorch_lightning import Callback, LightningDataModule, LightningModule
from pytorch_lightning.callbacks import Checkpoint, DeviceStatsMonitor, ModelCheckpoint, OnExceptionCheckpoint

from zoo.callbacks.checkpointing import ExceptionCheckpoint
from zoo.models import ZooModule
from zoo.utils.errors import UsageError, unknown_name


def without_checkpoints(callbacks: Sequence[Callback]) -> list[Callback]:
    """Return the callbacks that can be used where nothing is trained, or nothing is saved.

    Lightning refuses callbacks that save checkpoints there, and one that wants a logger where there is none.
    """
    return [callback for callback in callbacks if not isinstance(callback, Checkpoint | DeviceStatsMonitor)]


def with_own_checkpoints(callbacks: Sequence[Callback]) -> list[Callback]:
    """Return the callbacks with `ExceptionCheckpoint` in place of Lightning's `OnExceptionCheckpoint`."""
    return [
        ExceptionCheckpoint(callback.dirpath, callback.filename)
        if type(callback) is OnExceptionCheckpoint
        else callback
        for callback in callbacks
    ]


def check_monitors(trainer: Any, module: LightningModule, data: LightningDataModule) -> None:
    """Check that callbacks monitor metrics that the module logs.

    Lightning finds that out at the end of the first epoch. The metrics of a module that is not the zoo's are unknown.

    Args:
        trainer: The Trainer.
        module: The network.
        data: The data.

    Raises:
        UsageError: A callback monitors something that is never logged.
    """
    if not isinstance(module, ZooModule) or not type(module).__module__.startswith("zoo."):
        return
    known = set(module.logged_metrics)
    if getattr(data, "val_size", None) == 0 or trainer.limit_val_batches == 0:
        known = {name for name in known if name.startswith("train_")}
    for callback in trainer.callbacks:
        monitor = getattr(callback, "monitor", None)
        counters = {"epoch", "step"} if isinstance(callback, ModelCheckpoint) else set()
        if isinstance(monitor, str) and known and monitor not in known | counters:
            problem = unknown_name(f"metric of {type(module).__name__}", monitor, known | counters)
            raise UsageError(f"{type(callback).__name__}: {problem}")
