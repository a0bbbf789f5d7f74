"""Ending an evaluation when it is asked to end."""

from __future__ import annotations

import signal
import threading
from types import FrameType
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from zoo.console import tell


class Termination(Callback):
    """Let SIGTERM end an evaluation at once, with status 143; Lightning would only take note of it.

    There is nothing to save. What happens in a training is `zoo.callbacks.guard.Guard`'s to say.
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
            tell("zoo: stopped by SIGTERM")
            if (launcher := trainer.strategy.launcher) is not None:
                launcher.kill(number)  # the other processes
            raise SystemExit(128 + number)

        if self._handler is None and threading.current_thread() is threading.main_thread():
            self._handler = signal.signal(signal.SIGTERM, end)
