"""The choice of a study's settings, by the validation loss alone."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterable, Sequence
from typing import Any

from zoo.studies.trial import Trial


def chosen_settings(trials: Iterable[Trial]) -> dict[str, Any] | None:
    """Return the settings with the lowest mean validation loss over their seeds; of equal ones the first.

    Settings with a trial that failed or was pruned are chosen only if there are no others. None if no trial has a
    validation loss.
    """
    best = min(
        (cell for cell in cells_of(trials) if math.isfinite(mean_loss(cell))),
        key=lambda cell: (any(trial.state != "finished" for trial in cell), mean_loss(cell), cell[0].number),
        default=None,
    )
    return None if best is None else dict(best[0].settings)


def cells_of(trials: Iterable[Trial]) -> list[list[Trial]]:
    """Return the trials of each setting."""
    cells: dict[str, list[Trial]] = {}
    for trial in sorted(trials, key=lambda trial: trial.number):
        cells.setdefault(json.dumps(dict(trial.settings), sort_keys=True), []).append(trial)
    return list(cells.values())


def mean_loss(cell: Sequence[Trial]) -> float:
    """Return the mean validation loss of the finished trials; infinite without any, or if it is not a number."""
    losses = [trial.val_loss for trial in cell if trial.state == "finished" and trial.val_loss is not None]
    mean = statistics.fmean(losses) if losses else math.inf
    return mean if math.isfinite(mean) else math.inf
