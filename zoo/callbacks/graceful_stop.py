"""Callbacks that stop on SIGINT and SIGTERM, and stop training on a non-finite loss."""

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

from zoo.callbacks.checkpointing import LastStepCheckpoint
from zoo.data.loader import BatchChunk
from zoo.models.base import ZooModule
from zoo.runs.checkpoint import read_checkpoint
from zoo.runs.folders import checkpoints_in, has_finite_weights
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import Stopped, UsageError

SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Steps between two checks where a check is slow: it synchronizes the processes, or waits for the GPU.
CHECK_INTERVAL = 10


class GracefulStop(Callback):
    """Stop training after the current step, with a checkpoint of that step.

    On Ctrl-C (SIGINT) or SIGTERM the current step is finished, the state is saved next to the run's other checkpoints,
    and `Stopped` is raised on all processes. A second Ctrl-C interrupts at once.

    On a non-finite loss, `UsageError` is raised. It names the step and the newest checkpoint with finite weights.

    Args:
        checkpoint: The checkpoint to resume from; None for a new training.
    """

    def __init__(self, checkpoint: Path | None = None) -> None:
        self._resumed = checkpoint
        self._signal = 0
        self._previous_handlers: dict[int, Any] = {}
        self._module: LightningModule | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the signal handlers; Lightning's own would interrupt within a step."""
        if threading.current_thread() is threading.main_thread():
            self._previous_handlers = {number: signal.signal(number, self._handle_signal) for number in SIGNALS}
        self._module = pl_module

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Stop between epochs if a signal arrived in the last step or in validation and the epoch is saved.

        No checkpoint is saved here, because Lightning could not start the new epoch from it. If the run did not save
        the epoch, training stops after the next step instead.
        """
        received, _ = self._max_over_processes(trainer, self._signal, False)
        if received and (saved := trainer.strategy.broadcast(_checkpoint_of_this_step(trainer))):
            raise Stopped(received, trainer.current_epoch - 1, trainer.global_step, saved)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Check the loss, and stop if a signal arrived."""
        loss = outputs.get("loss") if isinstance(outputs, dict) else outputs
        is_last = trainer.fit_loop.epoch_loop.batch_progress.is_last_batch
        single_process = trainer.world_size == 1
        is_chunk = isinstance(batch, BatchChunk)
        due = is_last or is_chunk or (batch_idx + 1) % CHECK_INTERVAL == 0
        if not due and not (single_process and (self._signal or pl_module.device.type == "cpu")):
            return
        non_finite = isinstance(loss, torch.Tensor) and not bool(loss.isfinite().all())
        received, non_finite = self._max_over_processes(trainer, self._signal, non_finite)
        if non_finite:
            exact = is_chunk or (single_process and pl_module.device.type == "cpu")
            raise UsageError(self._non_finite_message(trainer, loss, exact))
        # A checkpoint cannot store partly accumulated gradients.
        if received and not is_last and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._save_and_stop(trainer, received)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the previous signal handlers, before Lightning restores those from before its own."""
        for number, handler in self._previous_handlers.items():
            signal.signal(number, handler)
        self._previous_handlers = {}
        if isinstance(self._module, ZooModule):
            self._module.is_ending = False
        self._module = None

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the previous signal handlers."""
        self.on_train_end(trainer, pl_module)

    def _handle_signal(self, number: int, frame: FrameType | None) -> None:
        if self._signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not self._signal:
            self._signal = number
            if isinstance(self._module, ZooModule):
                self._module.is_ending = True
            print_rank_zero("Stopping after this step; Ctrl-C from now on stops at once, without saving.")

    def _max_over_processes(self, trainer: Trainer, received: int, non_finite: bool) -> tuple[int, bool]:
        """Return the maxima over all processes of the received signal's number and of the non-finite flag."""
        if trainer.world_size == 1:
            return received, non_finite
        flags = torch.tensor([received, int(non_finite)], device=trainer.strategy.root_device)
        torch.distributed.all_reduce(flags, op=torch.distributed.ReduceOp.MAX)
        return int(flags[0]), bool(flags[1])

    def _save_and_stop(self, trainer: Trainer, received: int) -> None:
        path = None
        if (folder := _checkpoint_folder(trainer)) is not None:
            path = folder / f"interrupted-epoch={trainer.current_epoch}-step={trainer.global_step}.ckpt"
            trainer.save_checkpoint(path, weights_only=False)
        raise Stopped(received, trainer.current_epoch, trainer.global_step, path)

    def _non_finite_message(self, trainer: Trainer, loss: Any, exact: bool) -> str:
        folder = _checkpoint_folder(trainer)
        candidates = [*(checkpoints_in(folder) if folder else []), *([self._resumed] if self._resumed else [])]
        good = next((path for path in candidates if has_finite_weights(path)), None)
        # After a chunk of batches, one loss for each of its steps; otherwise the loss of the last step.
        losses = loss.flatten().tolist() if isinstance(loss, torch.Tensor) else []
        step, value = trainer.global_step, "not finite"
        for loss_step, loss_value in enumerate(losses, start=step - len(losses) + 1):
            if not math.isfinite(loss_value):
                step, value = loss_step, f"{loss_value:g}"
                break
        preposition = "at" if exact else "by"
        return (
            f"The loss is {value} {preposition} step {step} (epoch {trainer.current_epoch + 1}): try a lower "
            f"lr; {f'the last good checkpoint is {good}' if good else 'no checkpoint had been written before'}."
        )


def _checkpoint_of_this_step(trainer: Trainer) -> Path | None:
    folder = _checkpoint_folder(trainer)
    newest = checkpoints_in(folder)[:1] if folder and trainer.is_global_zero else []
    return next((path for path in newest if read_checkpoint(path).content["global_step"] == trainer.global_step), None)


def _checkpoint_folder(trainer: Trainer) -> Path | None:
    # That of the run's own callback, whichever others a config has.
    own = [each for each in trainer.checkpoint_callbacks if isinstance(each, LastStepCheckpoint)]
    folder = own[0].dirpath if own else None
    return Path(folder) if folder else None


class EvaluationStop(Callback):
    """Exit at once with status 143 when SIGTERM arrives during an evaluation or a prediction.

    Lightning would only record the signal. Nothing needs to be saved. Training is stopped by `GracefulStop`.
    """

    def __init__(self) -> None:
        self._previous_handler: Any = None

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the signal handler, except for the validation within training."""
        if trainer.state.fn != TrainerFn.FITTING:
            self._install_handler(trainer)

    def on_test_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the signal handler."""
        self._install_handler(trainer)

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Install the signal handler."""
        self._install_handler(trainer)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the previous signal handler."""
        self._restore_handler()

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the previous signal handler."""
        self._restore_handler()

    def on_predict_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Restore the previous signal handler."""
        self._restore_handler()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Restore the previous signal handler."""
        self._restore_handler()

    def _restore_handler(self) -> None:
        # Before the callbacks are torn down: by then Lightning has restored the handlers from before its own.
        if self._previous_handler is not None:
            signal.signal(signal.SIGTERM, self._previous_handler)
            self._previous_handler = None

    def _install_handler(self, trainer: Trainer) -> None:
        def exit_process(number: int, frame: FrameType | None) -> None:
            print_rank_zero("zoo: stopped by SIGTERM")
            if (launcher := trainer.strategy.launcher) is not None:
                launcher.kill(number)  # the other processes
            raise SystemExit(128 + number)

        if self._previous_handler is None and threading.current_thread() is threading.main_thread():
            self._previous_handler = signal.signal(signal.SIGTERM, exit_process)
