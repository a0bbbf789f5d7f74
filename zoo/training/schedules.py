"""Learning rates over the course of a training, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pytorch_lightning.utilities.types import OptimizerConfig, OptimizerLRSchedulerConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from zoo.utils.errors import UsageError, unknown_name

SCHEDULES = ("constant", "cosine", "one_cycle")
"""``constant``; ``cosine``, from the learning rate down to 0: Loshchilov and Hutter, "SGDR", ICLR 2017, without
restarts; ``one_cycle``, from 1/25 of the learning rate up to it in the first 30 % of the training, then down to
1/250,000 of it, both along a cosine: Smith and Topin, "Super-convergence", 2018."""


def check_schedule(name: str) -> None:
    """Raise `UsageError` unless the schedule is known."""
    if name not in SCHEDULES:
        raise unknown_name("lr_schedule", name, SCHEDULES)


def with_schedule(
    optimizer: Optimizer, name: str, length: Callable[[], float], interval: str = "step"
) -> OptimizerConfig | OptimizerLRSchedulerConfig:
    """Return the optimizer and, unless the rate is constant, its schedule, as `configure_optimizers` wants them.

    Args:
        optimizer: The optimizer. Its learning rate is the greatest of the schedule.
        name: One of `SCHEDULES`.
        length: Tells how many times the schedule moves in the whole training; asked only where that matters.
        interval: When it moves: after each ``step`` or ``epoch``.

    Raises:
        UsageError: The schedule needs the end of the training, which is not known.
    """
    if name == "constant":
        return {"optimizer": optimizer}
    moves = length()
    if moves == float("inf"):
        raise UsageError(f"lr_schedule {name} needs to know the end: set trainer.max_epochs.")
    moves = max(1, int(moves))
    schedule: CosineAnnealingLR | OneCycleLR
    if name == "cosine":
        schedule = CosineAnnealingLR(optimizer, T_max=moves)
    else:
        rates = [group["lr"] for group in optimizer.param_groups]
        # The momentum stays: a captured step has it as a constant.
        schedule = OneCycleLR(optimizer, rates, total_steps=moves, cycle_momentum=False)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": interval}}


def check_not_prolonged(scheduler: Any, length: Callable[[], float]) -> None:
    """Refuse to prolong a schedule that was to end elsewhere: the next half of a cosine would climb.

    Raises:
        UsageError: It was made for another length than the training has now.
    """
    if isinstance(scheduler, CosineAnnealingLR):
        name, moves = "cosine", scheduler.T_max
    elif isinstance(scheduler, OneCycleLR):
        name, moves = "one_cycle", scheduler.total_steps
    else:
        return
    if moves != max(1, length()):
        raise UsageError(
            f"lr_schedule {name} was made for a training of another length and cannot be prolonged: set "
            "trainer.max_epochs as it was, or train anew."
        )
