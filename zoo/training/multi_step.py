"""Several steps of the optimizer in one call: Lightning's loop costs more than a small network's step does.

Lightning is handed a block of batches as if it were one; its counters are then moved on by the steps that were made,
so that ``global_step``, ``max_steps``, checkpoints at a given step, validation within an epoch and a resumed epoch mean
what they mean without blocks. A block ends where one of them has something to do.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.profilers import PassThroughProfiler
from pytorch_lightning.utilities.model_helpers import is_overridden
from pytorch_lightning.utilities.types import LRSchedulerConfig
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.data.loader import BatchChunk, BatchLoader
from zoo.data.sampler import ExactSampler
from zoo.training.layerwise_adam import Update, WithPenalty, make_update
from zoo.training.manual_backward import Chain
from zoo.training.optimizers import OPTIMIZERS
from zoo.utils.autocast import full_precision

DEFAULT_STEPS = 50
"""In a block, where nothing says how many."""

HOOKS = (
    *("on_train_batch_start", "on_train_batch_end", "on_before_zero_grad", "on_before_backward", "on_after_backward"),
    "on_before_optimizer_step",
)
"""What callbacks do in every step."""
PARTS = (
    *("training_step", "step", "training_loss", "backward", "configure_gradient_clipping"),
    *("optimizer_step", "optimizer_zero_grad", "lr_scheduler_step"),
)
"""What a module's step is made of."""
PRECISIONS = ("32-true", "64-true", "bf16-mixed")
"""Those in which the loss is not scaled."""
TRANSFERS = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
"""What a module or its data may do to every batch."""
LIGHTNING = ("pytorch_lightning.", "lightning.")
AWARE_OF_BLOCKS = {
    *("EarlyStopping", "ModelCheckpoint", "ModelSummary", "RichModelSummary", "SaveConfigCallback", "Timer"),
    "TQDMProgressBar",
}
"""Lightning's callbacks, and no classes derived from them, that mean the same with blocks; the zoo's own do too."""


class Steps(ABC):
    """How a step is made."""

    @abstractmethod
    def step(self, batch: tuple[Tensor, ...], update: Update) -> None:
        """Find the gradients, and let the optimizer use them."""

    @abstractmethod
    def finish(self) -> Tensor:
        """End a block: count its images, and return a number for each step, ``(n,)``, finite if all went well."""


class AutogradSteps(Steps):
    """As Lightning's own loop has them.

    Args:
        loss: Maps a batch to its loss.
        parameters: Those whose gradients are set to none before each step.
        before_update: Called with the optimizer when the gradients are there.
    """

    def __init__(
        self,
        loss: Callable[[tuple[Tensor, ...]], Tensor],
        parameters: Iterable[nn.Parameter],
        before_update: Callable[[Optimizer], None],
    ) -> None:
        self.loss = loss
        self.parameters = list(parameters)
        self.before_update = before_update
        self.costs: list[Tensor] = []

    def step(self, batch: tuple[Tensor, ...], update: Update) -> None:
        """Go backwards from the cost."""
        for parameter in self.parameters:
            parameter.grad = None
        # Mixed precision keeps the weights' short forms, until its context ends: here they are other weights by now.
        torch.clear_autocast_cache()
        cost = self.loss(batch)
        with full_precision(cost):  # as Lightning's loop goes backwards, outside of that context
            cost.backward()
            self.before_update(update.optimizer)
        self.costs.append(cost.detach())
        update.step()

    def finish(self) -> Tensor:
        """Return the costs."""
        costs, self.costs = torch.stack(self.costs), []
        return costs


class ChainSteps(Steps):
    """Of a chain of layers, without autograd.

    Args:
        chain: The layers.
        penalty: λ of the L2 penalty.
        count: Takes the cross-entropies ``(N,)``, logits ``(N·B, C)`` and labels ``(N·B,)`` of N batches.
    """

    def __init__(self, chain: Chain, penalty: float, count: Callable[[Tensor, Tensor, Tensor], None]) -> None:
        self.chain = chain
        self.penalty = penalty
        self.count = count
        self.seen: list[tuple[Tensor, Tensor, Tensor]] = []

    def step(self, batch: tuple[Tensor, ...], update: Update) -> None:
        """Go through the layers and back."""
        images, labels, *_ = batch
        if self.penalty:
            update = WithPenalty(update, self.penalty)
        cost, logits = self.chain.step(images, labels, update)
        self.seen.append((cost, logits, labels))

    def finish(self) -> Tensor:
        """Count the images, and return the cross-entropies."""
        seen, self.seen = self.seen, []
        # The last batch of an epoch may be smaller.
        for _, group in itertools.groupby(seen, key=lambda each: len(each[2])):
            costs, logits, labels = zip(*group, strict=True)
            self.count(torch.stack(costs), torch.cat(logits), torch.cat(labels))
        return torch.stack([cost for cost, *_ in seen])


class Stepper:
    """Trains a module block by block.

    Args:
        module: What a Trainer is about to train.
        make_steps: Returns how a step is made; asked before each block.
        is_ending: Whether the training is to end after the step under way.
        most: Steps in a block at most.
    """

    def __init__(
        self, module: LightningModule, make_steps: Callable[[], Steps], is_ending: Callable[[], bool], most: int
    ) -> None:
        self.module = module
        self.make_steps = make_steps
        self.is_ending = is_ending
        self.most = most
        self.trainer: Trainer = module.trainer
        loader: Any = self.trainer.train_dataloader
        self.loader = loader
        self.loader.chunk_length = self.next_length
        # Lightning then leaves the optimizer to the module, and counts its steps elsewhere.
        module.automatic_optimization = False
        loop = self.trainer.fit_loop.epoch_loop
        made = loop.automatic_optimization.optim_progress.optimizer.step.total.completed
        loop.manual_optimization.optim_step_progress.total.ready = made
        loop.manual_optimization.optim_step_progress.total.completed = made

    def next_length(self) -> int:
        """Return how many steps can be made until something else has to be done."""
        trainer, loop = self.trainer, self.trainer.fit_loop.epoch_loop
        begun, step = loop.batch_progress.current.ready, trainer.global_step
        limits = [self.most, int(trainer.num_training_batches) - begun]
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

    def run(self, block: BatchChunk) -> Tensor:
        """Make a step for each batch, or until the training is to end, and return a number for each of them, ``(n,)``.

        They are finite if all went well.
        """
        module = self.module
        optimizer: Any = module.optimizers(use_pl_optimizer=False)
        scheduler: Any = module.lr_schedulers()
        device, dtype = module.device, next(module.parameters()).dtype
        # Made anew, because a callback may have changed the network or the optimizer since the last block.
        steps, update = self.make_steps(), make_update(optimizer)
        optimizer.zero_grad()
        made = 0
        for images, *rest in block:
            update.keeps_gradients = made + 1 == len(block)
            steps.step((images.to(device, dtype), *(each.to(device) for each in rest)), update)
            made += 1
            if scheduler is not None:
                scheduler.step()
            if self.is_ending():
                break
        self.loader.mark_unused(len(block) - made)
        self._count(made)
        return steps.finish()

    def close(self) -> None:
        """Give the Trainer's loader and the module back as they were."""
        self.loader.chunk_length = None
        self.module.automatic_optimization = True

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


def reason_against(module: LightningModule, author: type, has_steps: bool) -> str | None:
    """Say why a training cannot be made block by block, or None where it can.

    Args:
        module: What a Trainer is about to train.
        author: The class that says how its steps are made; it knows of its own hooks, and of no subclass's.
        has_steps: Whether that class has steps that can be made in blocks.
    """
    return next(_reasons_against(module, module.trainer, author, has_steps), None)


def _reasons_against(module: LightningModule, trainer: Any, author: type, has_steps: bool) -> Iterator[str]:
    loader: Any = trainer.train_dataloader
    name = type(module).__name__
    if trainer.world_size > 1:
        yield "several processes train together"
    if not isinstance(loader, BatchLoader) or not isinstance(loader.sampler, ExactSampler):
        yield "its batches come from another loader than the zoo's"
    if not has_steps or any(is_overridden(part, module, author) for part in PARTS if hasattr(author, part)):
        yield f"{name} has a step of its own"
    if any(is_overridden(hook, module, author) for hook in HOOKS):
        yield f"{name} does something of its own in every step"
    if len(trainer.optimizers) != 1 or type(trainer.optimizers[0]) not in OPTIMIZERS.values():
        yield f"{name} has another optimizer than the zoo's"
    if not all(_moves_with_every_step(each) for each in trainer.lr_scheduler_configs):
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
    if trainer.reload_dataloaders_every_n_epochs:
        yield "the data changes with the epochs"
    if not isinstance(trainer.profiler, PassThroughProfiler):
        yield "a profiler looks at every step"
    for callback in trainer.callbacks:
        if not _is_aware_of_blocks(callback):
            yield f"{type(callback).__name__} may look at every step"
        elif isinstance(callback, ModelCheckpoint) and callback._train_time_interval:
            yield "checkpoints are saved by the clock"


def _is_aware_of_blocks(callback: Callback) -> bool:
    cls = type(callback)
    if cls.__module__.startswith("zoo."):
        return True
    if cls.__module__.startswith(LIGHTNING):
        # Of the others, some have no such hook and change steps all the same: what gradients they gather, their rate.
        return cls.__name__ in AWARE_OF_BLOCKS
    ancestors = [each for each in cls.__mro__ if issubclass(each, Callback) and each is not Callback]
    derived = any(each.__module__.startswith(LIGHTNING) for each in ancestors)
    return not derived and not any(is_overridden(hook, callback, Callback) for hook in HOOKS)


def _moves_with_every_step(schedule: LRSchedulerConfig) -> bool:
    return schedule.interval == "step" and schedule.frequency == 1 and not schedule.reduce_on_plateau
