"""Lightning's fit loop and chunks of steps: all that reaches into its undocumented attributes.

Lightning is handed a chunk of batches as if it were one batch. Its counters are then moved on by the steps that were
made, so that ``global_step``, ``max_steps``, checkpoints at a given step, validation within an epoch and a resumed
epoch mean what they mean without chunks. A test holds each attribute to its meaning.
"""

from __future__ import annotations

import math
from typing import Any

from pytorch_lightning import LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint


class ChunkedLoop:
    """Makes Lightning's fit loop count steps while it is handed chunks.

    Args:
        module: What a Trainer is about to train.
    """

    def __init__(self, module: LightningModule) -> None:
        self.module = module
        self.trainer: Trainer = module.trainer
        self.was_automatic = module.automatic_optimization
        # Lightning then leaves the optimizer to the module, and counts its steps elsewhere.
        module.automatic_optimization = False
        loop = self.trainer.fit_loop.epoch_loop
        automatic = loop.automatic_optimization.optim_progress.optimizer.step.total
        manual = loop.manual_optimization.optim_step_progress.total
        steps = automatic.completed if self.was_automatic else manual.completed
        manual.ready = manual.completed = steps

    def close(self) -> None:
        """Make the module an ordinary one again."""
        self.module.automatic_optimization = self.was_automatic

    def steps_until_next_event(self, limit: int) -> int:
        """Return how many steps can be made until Lightning has to do something else, ``limit`` at most."""
        trainer, loop = self.trainer, self.trainer.fit_loop.epoch_loop
        begun, step = loop.batch_progress.current.ready, trainer.global_step
        limits = [limit, int(trainer.num_training_batches) - begun]
        if trainer.max_steps != -1:
            limits.append(trainer.max_steps - step)
        if trainer.min_steps and step < trainer.min_steps:
            limits.append(trainer.min_steps - step)
        savers = [each for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint)]
        every = [each._every_n_train_steps for each in savers]
        limits += [interval - step % interval for interval in every if interval]
        interval = trainer.val_check_batch
        if interval and not math.isinf(interval):
            counted = begun if trainer.check_val_every_n_epoch is not None else loop.batch_progress.total.ready
            limits.append(int(interval) - counted % int(interval))
        return max(1, min(limits))

    def count(self, steps: int) -> None:
        """Move Lightning's counters on, which count a chunk as one batch and know nothing of its steps."""
        fit_loop = self.trainer.fit_loop
        loop, fetcher = fit_loop.epoch_loop, fit_loop._data_fetcher
        more = steps - 1
        for progress in (loop.batch_progress.current, loop.batch_progress.total):
            for name in ("ready", "started", "processed", "completed"):
                setattr(progress, name, getattr(progress, name) + more)
        loop._batches_that_stepped += more
        assert fetcher is not None
        fetcher.fetched += more
        fetcher.done = fetcher.length is not None and fetcher.fetched >= fetcher.length
        loop.batch_progress.is_last_batch = fetcher.done
        manual: Any = loop.manual_optimization.optim_step_progress
        automatic: Any = loop.automatic_optimization.optim_progress.optimizer
        counters = [manual.current, manual.total]
        if self.was_automatic:
            counters += [automatic.step.current, automatic.step.total]
        for progress in counters:
            progress.ready += steps
            progress.completed += steps


def train_time_interval(callback: ModelCheckpoint) -> object:
    """Return the time between two checkpoints that a callback saves by the clock, or None."""
    return callback._train_time_interval
