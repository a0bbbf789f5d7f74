"""Drawing functions that the figures share: panels, and mean curves with their range over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np


def panels(rows: int, columns: int, size: tuple[float, float] = (4.2, 3.2), **shared: Any) -> tuple[Any, Any]:
    """Create a figure with a grid of panels.

    Args:
        rows: Number of rows.
        columns: Number of columns.
        size: Width and height of each panel in inches.
        **shared: Passed to `matplotlib.figure.Figure.subplots`, for example ``sharey``.

    Returns:
        The figure and an array ``(rows, columns)`` of its axes.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size[0] * columns, size[1] * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **shared)
    for ax in axes.flat:
        ax.grid(color="0.9")
        ax.set_axisbelow(True)
    return figure, axes


def plot_runs(
    ax: Any, x: Sequence[float], runs: Sequence[Sequence[float]], label: str, color: str, **style: Any
) -> None:
    """Plot the mean over runs as a line and their range, minimum to maximum, as a band.

    Args:
        ax: The axes to draw on.
        x: Coordinates of the points.
        runs: One row of values per seed, each as long as ``x``.
        label: Label of the line in the legend.
        color: Color of line and band.
        **style: Further arguments of `matplotlib.axes.Axes.plot`.
    """
    values = np.asarray(runs, dtype=float)
    ax.plot(x, values.mean(axis=0), label=label, color=color, **style)
    if len(values) > 1:
        ax.fill_between(x, values.min(axis=0), values.max(axis=0), color=color, alpha=0.2, linewidth=0)


def describe_seeds(count: int) -> str:
    """Describe what the curves show: one seed, or mean and range of several."""
    return "one seed" if count == 1 else f"mean of {count} seeds, band from least to largest"
