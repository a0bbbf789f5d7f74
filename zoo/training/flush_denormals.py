"""Denormal numbers are flushed while a module trains, in a Trainer of one's own too."""

from __future__ import annotations

from contextlib import ExitStack

from pytorch_lightning import Callback, LightningModule, Trainer

from zoo.utils.denormals import denormals_given_back, flush_denormals


class FlushDenormals(Callback):
    """Flush denormal numbers from the start of a training to its end, in every process; then as before.

    See `zoo.utils.denormals`. The modules of the zoo add this callback themselves.
    """

    def __init__(self) -> None:
        self._given_back = ExitStack()

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Flush from now on."""
        if stage == "fit":
            self._given_back.enter_context(denormals_given_back())
            flush_denormals()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """End it."""
        self._given_back.close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End it."""
        self._given_back.close()
