"""Several steps of the optimiser in one call: Lightning's loop costs more than a small network's step does.

Lightning is handed a block of batches as if it were one; its counters are then moved on by the steps that were made,
so that ``global_step``, ``max_steps``, checkpoints at a given step, validation within an epoch and a resumed epoch mean
what they mean without blocks. A block ends where one of them has something to do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint, ModelSummary, Timer, TQDMProgressBar
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor

from zoo.data.loader import BatchLoader, Block
from zoo.data.sampler import ExactSampler

if TYPE_CHECKING:
    from zoo.models.classifier import Classifier

STEPS = 50
"""In a block, where nothing says how many."""

HOOKS = (
    *("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward"),
    "on_before_optimizer_step",
)
"""What callbacks do in every step."""
TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
"""What a module or its data may do to every batch."""
AWARE_OF_BLOCKS = (EarlyStopping, ModelCheckpoint, ModelSummary, Timer, TQDMProgressBar)
"""Lightning's callbacks that need no look at every step; the zoo's own know of blocks too."""


class Stepper:
    """Trains a classifier block by block.

    Args:
        module: The classifier, which a Trainer is about to train.
        steps: In a block at most.
    """

    def __init__(self, module: Classifier, steps: int) -> None:
        self.module = module
        self.steps = steps
        self.trainer: Trainer = module.trainer
        loader: Any = self.trainer.train_dataloader
        loader.block_length = self.next_length
        # Lightning then leaves the optimiser to the module, and counts its steps elsewhere.
        module.automatic_optimization = False
        loop = self.trainer.fit_loop.epoch_loop
        made = loop.automatic_optimization.optim_progress.optimizer.step.total.completed
        loop.manual_optimization.optim_step_progress.total.ready = made
        loop.manual_optimization.optim_step_progress.total.completed = made

    def next_length(self) -> int:
        """Return how many steps can be made until something else has to be done."""
        trainer, loop = self.trainer, self.trainer.fit_loop.epoch_loop
        begun, step = loop.batch_progress.current.ready, trainer.global_step
        limits = [self.steps, int(trainer.num_training_batches) - begun]
        if trainer.max_steps != -1:
            limits.append(trainer.max_steps - step)
        every = (getattr(each, "_every_n_train_steps", 0) for each in trainer.checkpoint_callbacks)
        limits += [interval - step % interval for interval in every if interval]
        interval = trainer.val_check_batch
        if interval and not math.isinf(interval):
            counted = begun if trainer.check_val_every_n_epoch is not None else loop.batch_progress.total.ready
            limits.append(int(interval) - counted % int(interval))
        return max(1, min(limits))

    def run(self, block: Block) -> Tensor:
        """Make a step for each batch, and return the last one's cost, a scalar in nats."""
        module = self.module
        optimizer: Any = module.optimizers(use_pl_optimizer=False)
        scheduler: Any = module.lr_schedulers()
        cost: Tensor | None = None
        dtype = module.parameter_dtype
        for images, labels, *_ in block:
            optimizer.zero_grad()
            cost = module.training_cost(images.to(dtype), labels)
            cost.backward()
            optimizer.step()
            if scheduler is not None:
                scheduler.step()
        assert cost is not None
        self._count(len(block))
        return cost.detach()

    def _count(self, steps: int) -> None:
        """Move Lightning's counters on, which count a block as one batch and know nothing of its steps."""
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
        manual = loop.manual_optimization.optim_step_progress
        automatic = loop.automatic_optimization.optim_progress.optimizer
        for progress in (manual.current, manual.total, automatic.step.current, automatic.step.total):
            progress.ready += steps
            progress.completed += steps


def reason_against(module: Classifier) -> str | None:
    """Say why a training cannot be made block by block, or None where it can."""
    return next(_reasons_against(module, module.trainer), None)


def _reasons_against(module: Classifier, trainer: Any) -> Iterator[str]:
    from zoo.models.classifier import Classifier

    loader: Any = trainer.train_dataloader
    if trainer.world_size > 1:
        yield "several processes train together"
    if not isinstance(loader, BatchLoader) or not isinstance(loader.sampler, ExactSampler):
        yield "its batches come from another loader than the zoo's"
    if type(module).training_step is not Classifier.training_step:
        yield f"{type(module).__name__} has a step of its own"
    if any(is_overridden(hook, module, Classifier) for hook in (*HOOKS, "optimizer_step")):
        yield f"{type(module).__name__} does something of its own in every step"
    if any(is_overridden(hook, each) for hook in TRANSFERS for each in (module, trainer.datamodule) if each):
        yield "something is done to every batch on its way"
    if str(trainer.precision) not in ("32-true", "64-true"):
        yield f"the precision is {trainer.precision}"
    if trainer.accumulate_grad_batches != 1:
        yield "gradients are accumulated"
    if trainer.gradient_clip_val:
        yield "gradients are clipped"
    if trainer.reload_dataloaders_every_n_epochs:
        yield "the data changes with the epochs"
    if any(getattr(each, "_train_time_interval", None) for each in trainer.checkpoint_callbacks):
        yield "checkpoints are saved by the clock"
    if not isinstance(trainer.profiler, PassThroughProfiler):
        yield "a profiler looks at every step"
    for callback in trainer.callbacks:
        aware = isinstance(callback, AWARE_OF_BLOCKS) or type(callback).__module__.startswith("zoo.")
        if not aware and any(is_overridden(hook, callback, Callback) for hook in HOOKS):
            yield f"{type(callback).__name__} looks at every step"
