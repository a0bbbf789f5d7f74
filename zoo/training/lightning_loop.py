"""Lightning's fit loop and chunks of steps: all that reaches into its undocumented attributes.

Lightning is handed a chunk of batches as if it were one batch. Its counters are then moved on by the steps that were
made, so that ``global_step``, ``max_steps``, checkpoints at a given step, validation within an epoch and a resumed
epoch mean what they mean without chunks. A test holds each attribute to its meaning.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar
from torch import Tensor
from torch.optim.swa_utils import AveragedModel


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


def is_last_epoch(trainer: Trainer) -> bool:
    """Return whether the training ends with the epoch that is ending, asked in ``on_train_epoch_end``."""
    loop = trainer.fit_loop
    epochs: Any = loop.epoch_progress.current
    has_made_steps = trainer.max_steps != -1 and trainer.global_step >= trainer.max_steps
    has_made_epochs = trainer.max_epochs not in (None, -1) and epochs.processed >= trainer.max_epochs
    return bool(has_made_steps or has_made_epochs or (trainer.should_stop and loop._can_stop_early))


def show_steps(trainer: Trainer) -> None:
    """Let Lightning's progress bar show all steps of a chunk, which it takes for one."""
    callback = trainer.progress_bar_callback
    if type(callback) is TQDMProgressBar and not callback.train_progress_bar.disable:
        bar = callback.train_progress_bar
        bar.n = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        bar.refresh()


def can_average_in_chunks(callback: Callback) -> bool:
    """Return whether a callback averages all that a network holds, on the network's device, after every step."""
    if type(callback) is not EMAWeightAveraging:
        return False
    starts = (callback.update_starting_at_step, callback.update_starting_at_epoch)
    everything = callback._use_buffers and callback._device is None
    return everything and callback.update_every_n_steps == 1 and starts == (None, None)


def prepare_averages(trainer: Trainer) -> None:
    """Give averages of weights the precision of the network, and let them copy whole numbers, which have no average.

    Lightning makes them before it converts the network. It is called before a checkpoint is read.
    """
    for average in weight_averages(trainer):
        if str(trainer.precision) == "64-true":
            average.double()
        assert average.avg_fn is not None
        average.avg_fn = functools.partial(_mean_of_real_numbers, average.avg_fn)


def _mean_of_real_numbers(mean: Callable[..., Tensor], average: Tensor, current: Tensor, count: Tensor) -> Tensor:
    return mean(average, current, count) if average.is_floating_point() else current


def place_averages(trainer: Trainer) -> None:
    """Have averages of weights on the device of the network, where a callback names no other.

    A callback that was in another training, too, would wait for that training's number of steps.
    """
    for callback in _averaging(trainer):
        if callback._device is None and callback._average_model is not None:
            callback._average_model.to(trainer.lightning_module.device)
        callback._latest_update_step = min(callback._latest_update_step, trainer.global_step)


def weight_averages(trainer: Trainer) -> list[AveragedModel]:
    """Return the averages of weights that callbacks keep."""
    averages = [callback._average_model for callback in _averaging(trainer)]
    return [average for average in averages if average is not None]


def mark_averaged(trainer: Trainer) -> None:
    """Let callbacks know that their averages have moved with every step until now."""
    for callback in _averaging(trainer):
        callback._latest_update_step = trainer.global_step


def _averaging(trainer: Trainer) -> list[EMAWeightAveraging]:
    callbacks: Any = trainer.callbacks  # type: ignore[attr-defined]
    return [callback for callback in callbacks if type(callback) is EMAWeightAveraging]


def train_time_interval(callback: ModelCheckpoint) -> object:
    """Return the time between two checkpoints that a callback saves by the clock, or None."""
    return callback._train_time_interval


@dataclass(frozen=True)
class EpochPosition:
    """How far a training is: what a training that is resumed has to do next."""

    epoch: int
    """The epoch under way, or the one that has just ended, from 0."""
    batches: int
    """Batches of it that were trained on."""
    length: int
    """Batches that an epoch has."""
    ended: bool
    """Whether the epoch was ended: it was validated, logged and reported. One that ``max_steps`` or ``max_time`` cut
    short was ended early."""
    validation: str
    """Whether the network of this batch has to be validated: ``none``, ``due`` or ``done``."""

    @classmethod
    def of(cls, trainer: Trainer, *, ended: bool, validated: bool) -> EpochPosition:
        """Return the position of a training under way.

        Args:
            trainer: The Trainer.
            ended: Whether Lightning has announced the end of the epoch.
            validated: Whether the network was validated after its last step.
        """
        progress: Any = trainer.fit_loop.epoch_progress.current
        batches: Any = trainer.fit_loop.epoch_loop.batch_progress.current
        validation = "none" if not _validation_is_due(trainer) else "done" if validated else "due"
        return cls(
            progress.processed - 1 if ended else progress.processed,
            batches.processed,
            int(trainer.num_training_batches),
            ended,
            validation,
        )

    def agrees_with(self, state: dict[str, Any]) -> bool:
        """Return whether the counters in a state of the fit loop say the same."""
        epochs = state["epoch_progress"]["current"]["processed"]
        batches = state["epoch_loop.batch_progress"]["current"]["processed"]
        return bool(epochs - self.ended == self.epoch and batches == self.batches <= self.length)

    @property
    def is_complete(self) -> bool:
        """Whether nothing of the epoch is left to do."""
        return self.ended and self.batches >= self.length


def batches_trained_on(trainer: Trainer) -> int:
    """Return the number of batches that were trained on, over all epochs."""
    total: Any = trainer.fit_loop.epoch_loop.batch_progress.total
    return int(total.processed)


def _validation_is_due(trainer: Trainer) -> bool:
    loop = trainer.fit_loop.epoch_loop
    interval = trainer.val_check_batch
    if interval is None or not loop._should_check_val_epoch():
        return False
    if math.isinf(interval):
        return bool(loop.batch_progress.is_last_batch)
    progress = loop.batch_progress
    counted = progress.total.ready if trainer.check_val_every_n_epoch is None else progress.current.ready
    return counted % int(interval) == 0


def set_position(state: dict[str, Any], position: EpochPosition, trainer: Trainer) -> None:
    """Make Lightning go on at a position, whatever happened around the moment when the state was saved.

    Lightning guesses from its counters where a training was saved. The guess is wrong for an epoch that ``max_steps``
    cut short, it leaves out the validation that follows a checkpoint, and after a checkpoint at an epoch's last batch
    the counters of epochs are one too low, so that the next resumed training goes astray.

    Args:
        state: The state of the fit loop in a checkpoint, modified in place.
        position: Where the training was.
        trainer: The Trainer that will go on.
    """
    epochs, batches = state["epoch_progress"], state["epoch_loop.batch_progress"]
    validated = state["epoch_loop.val_loop.batch_progress"]
    stepped = state["epoch_loop.state_dict"]
    # Lightning counts the last batch in a different place than its step, before it announces the end of an epoch.
    steps_counted = stepped["_batches_that_stepped"] + (not position.ended)
    total = batches["total"]["processed"]
    if position.is_complete or not position.batches:
        finished = position.epoch + position.is_complete
        _set(epochs, "total", finished)
        _set(epochs, "current", finished)
        _set(batches, "total", total)
        _set(batches, "current", 0)
        batches["is_last_batch"] = False
        # With max_steps, Lightning passes once through its loop without a batch, and counts it.
        stepped["_batches_that_stepped"] = steps_counted - (trainer.max_steps != -1 and total > 0)
        return
    for part in ("total", "current"):
        _set(epochs, part, position.epoch)
        epochs[part]["ready"] = epochs[part]["started"] = position.epoch + 1
    is_last = position.batches >= position.length
    # Where nothing follows the batch, Lightning's own way for a checkpoint that was saved at its end.
    saved_at_batch_end = position.validation == "none" and not is_last
    _set(batches, "total", total)
    _set(batches, "current", position.batches)
    if saved_at_batch_end:
        batches["total"]["completed"] -= 1
        batches["current"]["completed"] -= 1
    batches["is_last_batch"] = is_last
    nothing_follows = is_last and position.validation == "none"
    stepped["_batches_that_stepped"] = steps_counted if nothing_follows else steps_counted - 1
    for part in ("total", "current"):
        _set(validated, part, 0)
        if position.validation == "due":  # as if it had been interrupted in its first batch
            validated[part]["ready"] = validated[part]["started"] = 1


def _set(progress: dict[str, Any], part: str, count: int) -> None:
    for name in progress[part]:
        progress[part][name] = count
