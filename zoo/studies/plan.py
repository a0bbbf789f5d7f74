"""Which trainings a study consists of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from zoo.studies.trial import Trial


@dataclass(frozen=True)
class Proposal:
    """What a trial is to train.

    Args:
        seed: The seed of the training.
        settings: The settings that the study changes, by their names on the command line (``model.lr``).
        id: What the sampler calls the trial; None where there is no sampler.
    """

    seed: int
    settings: Mapping[str, bool | int | float | str | None]
    id: int | None = None


class Plan(Protocol):
    """Which trainings a study consists of. Every method may be called from any process and machine of the study."""

    @property
    def trials(self) -> int:
        """How many trials there are, numbered from 0."""
        ...

    def propose(self, number: int) -> Proposal:
        """Return what a trial is to train. The caller has claimed the number, and stores the result."""
        ...

    def report(self, number: int, epoch: int, val_loss: float) -> bool:
        """Record an epoch's validation loss, and return whether the trial is to be stopped early."""
        ...

    def finish(self, trial: Trial) -> None:
        """Record a trial's result, after it was stored. A second call with the same trial changes nothing."""
        ...
