"""Ending a training in good order: when a signal asks for it, and when the loss is no number any more."""

from __future__ import annotations

import math
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from zoo.data.loader import BatchChunk
from zoo.models.base import ZooModule
from zoo.runs.checkpoint import read_checkpoint
from zoo.runs.folders import checkpoints_in, has_finite_weights
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import Stopped, UsageError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Where asking costs something (processes must agree, a GPU must be waited for) it is done once in so many steps.
INTERVAL = 10


class GracefulStop(Callback):
    """Stop after a step, never within one, with a checkpoint of exactly that step.

    On Ctrl-C (SIGINT) or SIGTERM the step under way is finished, the state is saved beside the run's other
    checkpoints, and `Stopped` is raised on all processes; a Ctrl-C after that interrupts at once. When the loss is
    infinite or no number, `UsageError` names the step and the newest checkpoint whose weights are finite.
    """

    def __init__(self) -> None:
        self._signal = 0
        self._handlers: dict[int, Any] = {}
        self._module: LightningModule | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over both signals; Lightning would interrupt in the middle of a step."""
        if threading.current_thread() is threading.main_thread():
            self._handlers = {number: signal.signal(number, self._note) for number in SIGNALS}
        self._module = pl_module

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop between epochs, when that was asked for in the last step or the validation and the epoch was saved.

        Nothing is saved here: Lightning would not begin the new epoch from such a checkpoint. Where the run saves
        less often, the next step is the one to stop after.
        """
        received, _ = self._agree(trainer, self._signal, False)
        if received and (saved := trainer.strategy.broadcast(_saved_at_this_step(trainer))):
            raise Stopped(received, trainer.current_epoch - 1, trainer.global_step, saved)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the loss, and stop when that was asked for."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        alone = trainer.world_size == 1
        block = isinstance(batch, BatchChunk)
        due = last or block or (batch_idx + 1) % INTERVAL == 0
        if not due and not (alone and (self._signal or pl_module.device.type == "cpu")):
            return
        broken = isinstance(loss, torch.Tensor) and not bool(loss.isfinite().all())
        received, broken = self._agree(trainer, self._signal, broken)
        if broken:
            exact = block or (alone and pl_module.device.type == "cpu")
            raise UsageError(self._complaint(trainer, loss, exact))
        # A checkpoint has no place for gradients that are still being accumulated.
        if received and not last and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._stop(trainer, received)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signals back."""
        for number, handler in self._handlers.items():
            signal.signal(number, handler)
        self._handlers = {}
        if isinstance(self._module, ZooModule):
            self._module.is_ending = False
        self._module = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signals back."""
        self.teardown(trainer, pl_module, "fit")

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self._signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._signal:
            self._signal = number
            if isinstance(self._module, ZooModule):
                self._module.is_ending = True
            print_rank_zero("Stopping after this step; Ctrl-C from now on stops at once, without saving.")

    def _agree(self, trainer: Trainer, received: int, broken: bool) -> tuple[int, bool]:
        """What any process knows, all know."""
        if trainer.world_size == 1:
            return received, broken
        flags = torch.tensor([received, int(broken)], device=trainer.strategy.root_device)
        torch.distributed.all_reduce(flags, op=torch.distributed.ReduceOp.MAX)
        return int(flags[0]), bool(flags[1])

    def _stop(self, trainer: Trainer, received: int) -> None:
        path = None
        if (folder := _checkpoint_folder(trainer)) is not None:
            path = folder / f"interrupted-epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
            trainer.save_checkpoint(path, weights_only=False)
        raise Stopped(received, trainer.current_epoch, trainer.global_step, path)

    def _complaint(self, trainer: Trainer, loss: Any, exact: bool) -> str:
        folder = _checkpoint_folder(trainer)
        good = next((path for path in checkpoints_in(folder) if has_finite_weights(path)), None) if folder else None
        # Of the last steps, one in a block's case each.
        losses = loss.flatten().tolist() if isinstance(loss, torch.Tensor) else []
        step, value = trainer.global_step, "no number"
        for number, each in enumerate(losses, start=step - len(losses) + 1):
            if not math.isfinite(each):
                step, value = number, f"{each:g}"
                break
        where = "at" if exact else "by"
        return (
            f"The loss is {value} {where} step {step} (epoch {trainer.current_epoch + 1}): try a lower "
            f"lr; {f'the last good checkpoint is {good}' if good else 'no checkpoint had been written before'}."
        )


def _saved_at_this_step(trainer: Trainer) -> Path | None:
    folder = _checkpoint_folder(trainer)
    newest = checkpoints_in(folder)[:1] if folder and trainer.is_global_zero else []
    return next((path for path in newest if read_checkpoint(path).content["global_step"] == trainer.global_step), None)


def _checkpoint_folder(trainer: Trainer) -> Path | None:
    folder = getattr(trainer.checkpoint_callback, "dirpath", None)
    return Path(folder) if folder else None


class Termination(Callback):
    """Let SIGTERM end an evaluation at once, with status 143; Lightning would only take note of it.

    There is nothing to save. What happens in a training is `zoo.callbacks.guard.GracefulStop`'s to say.
    """

    def __init__(self) -> None:
        self._handler: Any = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signal over, unless this is a part of a training."""
        if trainer.state.fn != TrainerFn.FITTING:
            self._take_over(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signal over."""
        self._take_over(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signal over."""
        self._take_over(trainer)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Give the signal back."""
        if self._handler is not None:
            signal.signal(signal.SIGTERM, self._handler)
            self._handler = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Give the signal back."""
        self.teardown(trainer, pl_module, "test")

    def _take_over(self, trainer: Trainer) -> None:
        def end(number: int, frame: FrameType | None) -> None:
            print_rank_zero("zoo: stopped by SIGTERM")
            if (launcher := trainer.strategy.launcher) is not None:
                launcher.kill(number)  # the other processes
            raise SystemExit(128 + number)

        if self._handler is None and threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, end)
