"""Learning rates over the course of a training, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytorch_lightning.utilities.types import OptimizerConfig, OptimizerLRSchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from zoo.utils.errors import UsageError, unknown_name

SCHEDULES = ("constant", "cosine")


def check_schedule(name: str) -> None:
    """Raise `UsageError` unless the schedule is known."""
    if name not in SCHEDULES:
        raise unknown_name("lr_schedule", name, SCHEDULES)


def with_schedule(
    optimizer: Optimizer, name: str, length: Callable[[], float], interval: str = "step"
) -> OptimizerConfig | OptimizerLRSchedulerConfig:
    """Return the optimizer and, for ``cosine``, its schedule down to 0, as `configure_optimizers` wants them.

    Args:
        optimizer: The optimizer.
        name: One of `SCHEDULES`.
        length: Tells how many times the schedule moves in the whole training; asked only where that matters.
        interval: When it moves: after each ``step`` or ``epoch``.

    Raises:
        UsageError: A cosine is asked for, but the training has no known end.
    """
    if name == "constant":
        return {"optimizer": optimizer}
    moves = length()
    if moves == float("inf"):
        raise UsageError("lr_schedule cosine needs to know the end: set trainer.max_epochs.")
    cosine = CosineAnnealingLR(optimizer, T_max=max(1, int(moves)))
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": interval}}


def check_not_prolonged(scheduler: Any, length: Callable[[], float]) -> None:
    """Refuse to prolong a cosine that was to end elsewhere: its next half would climb.

    Raises:
        UsageError: It was made for another length than the training has now.
    """
    if isinstance(scheduler, CosineAnnealingLR) and scheduler.T_max != max(1, length()):
        raise UsageError(
            "lr_schedule cosine was made for a training of another length and cannot be prolonged: set "
            "trainer.max_epochs as it was, or train anew."
        )
