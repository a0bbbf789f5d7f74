"""Checks of the callbacks in a config before the first step."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import Callback, LightningDataModule, LightningModule
from pytorch_lightning.callbacks import (
    Checkpoint,
    DeviceStatsMonitor,
    EarlyStopping,
    ModelCheckpoint,
    OnExceptionCheckpoint,
)

from zoo.callbacks.checkpointing import ExceptionCheckpoint, LastStepCheckpoint, better_mode
from zoo.models import ZooModule
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.files import check_local

LONGEST_NAME = 255
"""Bytes of a file's name, on all usual file systems."""
LONGEST_PATH = 3800
"""Bytes of a whole path. Linux takes 4,095, and the folder of the run is a part of it."""


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


def check_callbacks(trainer: Any, module: LightningModule, data: LightningDataModule) -> None:
    """Check what callbacks monitor, how long they wait, and how they name checkpoints.

    Lightning finds that out at the end of the first epoch. The metrics of a module that is not the zoo's are unknown.

    Args:
        trainer: The Trainer.
        module: The network.
        data: The data.

    Raises:
        UsageError: A callback monitors something that is never logged or takes the worst value for the best, its
            patience is negative, or its names of files are invalid.
    """
    known = set(module.logged_metrics) if isinstance(module, ZooModule) else set()
    if not type(module).__module__.startswith("zoo."):
        known = set()
    if getattr(data, "val_size", None) == 0 or trainer.limit_val_batches == 0:
        known = {name for name in known if name.startswith("train_")}
    for callback in trainer.callbacks:
        monitor = getattr(callback, "monitor", None)
        counters = {"epoch", "step"} if isinstance(callback, ModelCheckpoint) else set()
        if isinstance(monitor, str) and known and monitor not in known | counters:
            problem = unknown_name(f"metric of {type(module).__name__}", monitor, known | counters)
            raise UsageError(f"{type(callback).__name__}: {problem}")
        if isinstance(callback, EarlyStopping | ModelCheckpoint) and not isinstance(callback, LastStepCheckpoint):
            _check_mode(callback)
        if isinstance(callback, EarlyStopping) and callback.patience < 0:
            raise UsageError(f"EarlyStopping's patience is {callback.patience}, but it must be 0 or more.")
        if isinstance(callback, EarlyStopping) and known:
            callback.strict = False  # a training may end before its first validation, and has nothing to stop then
        if isinstance(callback, ModelCheckpoint) and callback.filename:
            _check_filename(callback, known)


def _check_mode(callback: EarlyStopping | ModelCheckpoint) -> None:
    """Check that a callback does not take the worst value for the best: Lightning's default mode is always min."""
    monitor = callback.monitor or ""
    if monitor.endswith(("_loss", "_acc")) and callback.mode != (better := better_mode(monitor)):
        raise UsageError(
            f"{type(callback).__name__} monitors {monitor} with the mode {callback.mode}, by which the worst value "
            f"would be the best: set its mode to {better}."
        )


def _check_filename(callback: ModelCheckpoint, metrics: set[str]) -> None:
    """Check that the template of a checkpoint's name can be filled in, and gives a name that a file can have."""
    counters = {"epoch": torch.tensor(10_000), "step": torch.tensor(10_000_000)}
    values = {**counters, **{name: torch.tensor(0.5) for name in metrics}}
    known = set(values)
    setting = f"{type(callback).__name__}'s filename {callback.filename!r}"
    try:
        name = callback.format_checkpoint_name(values)  # which adds the names that it does not know
    except (ValueError, LookupError, AttributeError, TypeError) as error:
        raise UsageError(f"{setting} cannot be filled in ({error}): see '{{epoch:02d}}-{{val_loss:.3f}}'.") from error
    if metrics and (unknown := sorted(values.keys() - known)):
        raise UsageError(f"{setting}: {unknown_name('metric', unknown[0], known)}")
    check_local(name, "filename")
    longest = max(len(os.fsencode(part)) for part in name.split(os.sep))
    if longest > LONGEST_NAME or len(os.fsencode(os.path.abspath(name))) > LONGEST_PATH:
        raise UsageError(f"{setting} is too long: a name has at most {LONGEST_NAME} bytes.")


def as_list(value: Any) -> list[Any]:
    """Return None as an empty list and a single value as a list of one."""
    return [] if value is None else list(value) if isinstance(value, list) else [value]
