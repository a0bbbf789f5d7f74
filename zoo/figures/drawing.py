"""What the pictures share: panels, and curves with their spread over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def panels(rows: int, columns: int, size: tuple[float, float] = (4.2, 3.2), **shared: Any) -> tuple[Any, Any]:
    """Return a figure and its axes, an array ``(rows, columns)``.

    Args:
        rows: How many.
        columns: How many.
        size: Of each panel in inches, width and height.
        **shared: As `matplotlib.figure.Figure.subplots` has it.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    for each in axes.flat:
        each.grid(color="0.9")
        each.set_axisbelow(True)
    return figure, axes


def curve(axes: Any, x: Sequence[float], runs: Sequence[Sequence[float]], label: str, color: str, **style: Any) -> None:
    """Draw the mean of some runs, and from the least to the largest of them as a band.

    Args:
        axes: Where.
        x: Places.
        runs: A row for each seed, as long as ``x``.
        label: For the legend.
        color: Of both.
        **style: The line's.
    """
    values = np.asarray(runs, dtype=float)
    axes.plot(x, values.mean(axis=0), label=label, color=color, **style)
    if len(values) > 1:
        axes.fill_between(x, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)


def of_seeds(count: int) -> str:
    """Say what the curves are: of one seed, or the mean of several."""
    return "one seed" if count == 1 else f"mean of {count} seeds, band from least to largest"
