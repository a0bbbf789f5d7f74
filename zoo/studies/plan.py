"""Which trainings a study consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from zoo.studies.settings import Value
from zoo.studies.trial import Trial


@dataclass(frozen=True)
class Proposal:
    """What a trial is to train.

    Args:
        seed: The seed of the training.
        settings: The settings that differ from the recipe, by their names on the command line (``model.lr``).
        id: The number that a sampler knows the trial by; None where there is no sampler.
    """

    seed: int
    settings: Mapping[str, Value]
    id: int | None = None


class Plan(Protocol):
    """Which trainings a study consists of. Every method may be called from any process and machine of the study."""

    @property
    def trials(self) -> int:
        """How many trials there are. They are numbered from 0."""

    def propose(self, number: int) -> Proposal:
        """Return what a trial is to train.

        Called after the trial was claimed. The caller stores the result and does not ask for that number again.
        """

    def report(self, number: int, epoch: int, val_loss: float) -> bool:
        """Take the validation loss after an epoch, counted from 0, and return whether to stop the trial early."""

    def finish(self, trial: Trial) -> None:
        """Take a result, after it was stored. May be called several times for the same trial."""


@dataclass(frozen=True)
class SeedsAndGrid:
    """Every cell of a grid of settings with every seed.

    More seeds leave the numbers of the trials as they are.

    Args:
        seeds: The number of seeds.
        cells: The settings of each cell. A study of seeds alone has one cell without settings.
        first_seed: The first seed; the others follow.
    """

    seeds: int
    cells: Sequence[Mapping[str, Value]] = ({},)
    first_seed: int = 0

    @property
    def trials(self) -> int:
        """The number of cells times the number of seeds."""
        return self.seeds * len(self.cells)

    def propose(self, number: int) -> Proposal:
        """Return the trial's seed and cell: all cells with the first seed come first."""
        seed, cell = divmod(number, len(self.cells))
        return Proposal(self.first_seed + seed, self.cells[cell])

    def report(self, number: int, epoch: int, val_loss: float) -> bool:
        """Return False: no trial is stopped early."""
        return False

    def finish(self, trial: Trial) -> None:
        """Do nothing: no trial depends on another one's result."""
