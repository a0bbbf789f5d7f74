"""Why a training is made one step at a time."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.utilities.model_helpers import is_overridden
from pytorch_lightning.utilities.types import LRSchedulerConfig

from zoo.data.base import ImageDataModule
from zoo.data.loader import BatchLoader
from zoo.data.sampler import ExactSampler
from zoo.training.lightning_loop import can_average_in_chunks, train_time_interval
from zoo.training.optimizers import OPTIMIZERS
from zoo.utils.compiled import is_compiled

HOOKS = (
    *("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward"),
    "on_before_optimizer_step",
)
"""What callbacks do in every step."""
PARTS = (
    *("training_step", "step", "count", "backward", "configure_gradient_clipping"),
    *("optimizer_step", "optimizer_zero_grad", "lr_scheduler_step"),
)
"""What a module's step is made of."""
PRECISIONS = ("32-true", "64-true", "bf16-mixed")
"""Those in which the loss is not scaled."""
TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
"""What a module or its data may do to every batch."""
LIGHTNING = ("pytorch_lightning.", "lightning.")
CHUNK_AWARE = {
    *("EarlyStopping", "ModelCheckpoint", "ModelSummary", "RichModelSummary", "SaveConfigCallback", "Timer"),
    "TQDMProgressBar",
}
"""Lightning's callbacks, and no classes derived from them, that mean the same with chunks; the zoo's own do too."""


def reason_against(module: LightningModule, author: type) -> str | None:
    """Say why a training is made one step at a time, or None where it can be made in chunks of steps.

    Args:
        module: What a Trainer is about to train.
        author: The class that defines its step; it knows of its own hooks, and of no subclass's.
    """
    return next(_reasons_against(module, module.trainer, author), None)


def _reasons_against(module: LightningModule, trainer: Any, author: type) -> Iterator[str]:
    loader: Any = trainer.train_dataloader
    name = type(module).__name__
    if trainer.world_size > 1:
        yield "several processes train together"
    if not isinstance(loader, BatchLoader) or not isinstance(loader.sampler, ExactSampler):
        yield "its batches come from another loader than the zoo's"
    if not author.__module__.startswith("zoo.") or any(is_overridden(part, module, author) for part in PARTS):
        yield f"{name} has a step of its own"
    if is_compiled(module):
        yield f"{name} is compiled"
    if any(is_overridden(hook, module, author) for hook in HOOKS):
        yield f"{name} does something of its own in every step"
    if any(type(optimizer) not in OPTIMIZERS.values() for optimizer in trainer.optimizers):
        yield f"{name} has another optimizer than the zoo's"
    if module.automatic_optimization and len(trainer.optimizers) != 1:
        yield f"{name} has several optimizers"
    if module.automatic_optimization and not all(_moves_with_every_step(each) for each in trainer.lr_scheduler_configs):
        yield f"{name} has a schedule that does not move with every step"
    if any(is_overridden(hook, each) for hook in TRANSFERS for each in (module, trainer.datamodule) if each):
        yield "something is done to every batch on its way"
    if str(trainer.precision) not in PRECISIONS:
        yield f"the precision is {trainer.precision}"
    if trainer.accumulate_grad_batches != 1:
        yield "gradients are accumulated"
    if trainer.gradient_clip_val:
        yield "gradients are clipped"
    if torch.is_anomaly_enabled():
        yield "anomalies are looked for in every step"
    if trainer.reload_dataloaders_every_n_epochs and not isinstance(trainer.datamodule, ImageDataModule):
        yield "the data changes with the epochs"
    if not isinstance(trainer.profiler, PassThroughProfiler):
        yield "a profiler looks at every step"
    for callback in trainer.callbacks:
        if not _is_chunk_aware(callback):
            yield f"{type(callback).__name__} may look at every step"
        elif isinstance(callback, ModelCheckpoint) and train_time_interval(callback):
            yield "checkpoints are saved by the clock"


def _is_chunk_aware(callback: Callback) -> bool:
    cls = type(callback)
    if cls.__module__.startswith("zoo."):
        return bool(getattr(cls, "chunk_aware", True))
    if cls.__module__.startswith(LIGHTNING):
        # Of the others, some have no such hook and change steps all the same: what gradients they gather, their rate.
        return cls.__name__ in CHUNK_AWARE or can_average_in_chunks(callback)
    ancestors = [each for each in cls.__mro__ if issubclass(each, Callback) and each is not Callback]
    derived = any(each.__module__.startswith(LIGHTNING) for each in ancestors)
    return not derived and not any(is_overridden(hook, callback, Callback) for hook in HOOKS)


def _moves_with_every_step(schedule: LRSchedulerConfig) -> bool:
    return schedule.interval == "step" and schedule.frequency == 1 and not schedule.reduce_on_plateau
