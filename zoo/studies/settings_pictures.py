"""The picture of a study of settings: response curves and importances. It shows validation metrics alone."""

from __future__ import annotations

import json
import math
import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from zoo.studies.importances import importances
from zoo.studies.proposals import objective
from zoo.studies.report import chosen_settings
from zoo.studies.settings import Choices, Range, SearchSpace
from zoo.studies.trial import Trial
from zoo.utils.pictures import COLORS

_GOLDEN = (math.sqrt(5) - 1) / 2
_CURVE_FROM = 10
"""Finished trials from which on a median is drawn."""
Metric = Callable[[Trial], float | None]


def draw_settings(trials: Sequence[Trial], space: SearchSpace) -> Any:
    """Draw the validation loss and the validation error against each setting, and the settings' importances.

    A dot is a finished trial, a star one with the chosen settings, which are those with the lowest validation loss. A
    pruned trial is a cross at its last loss, and has no error. A line is the median of neighboring trials, a bar that
    of a choice.

    Args:
        trials: The trials that have ended, 0 or more.
        space: Their settings, at least one.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    from matplotlib.figure import Figure

    metrics: dict[str, Metric] = {"validation loss in nats": objective}
    if any(_error(trial) is not None for trial in trials):
        metrics["validation error in %"] = _error
    shares = importances(trials, space)
    columns, heights = len(space.settings), [2.5] * len(metrics) + [0.5 + 0.22 * len(shares)] * bool(shares)
    figure = Figure(figsize=(max(5.5, 3.0 * columns), 0.9 + sum(heights)), layout="constrained")
    figure.suptitle(_title(trials), fontsize=10)
    grid = figure.add_gridspec(len(heights), columns, height_ratios=heights)
    # With one setting there is nothing to choose.
    chosen = chosen_settings(trials) if len({str(trial.settings) for trial in trials}) > 1 else None
    for row, (label, metric) in enumerate(metrics.items()):
        first = None
        for column, (name, values) in enumerate(space.settings.items()):
            ax = figure.add_subplot(grid[row, column], sharey=first)
            first = first or ax
            ax.tick_params(labelsize=8, labelleft=ax is first, labelbottom=row == len(metrics) - 1)
            _prepare(ax, values)
            _draw_trials(ax, trials, name, values, metric, chosen)
            if row == 0:
                ax.set_title(name, fontsize=9)
        if first is not None:
            first.set_ylabel(label, fontsize=9)
            _scale(first, [value for trial in trials if (value := metric(trial)) is not None])
    if shares:
        _draw_importances(figure.add_subplot(grid[-1, :]), shares)
    if handles := legend_of(figure):
        columns_of_legend = 5 if columns > 2 else 3
        figure.legend(**handles, loc="outside lower center", ncols=columns_of_legend, frameon=False, fontsize=8)
    return figure


def legend_of(figure: Any) -> dict[str, list[Any]]:
    """Return the handles and labels of all panels of a figure, each label once, as arguments of its legend."""
    by_label: dict[str, Any] = {}
    for ax in figure.axes:
        handles, labels = ax.get_legend_handles_labels()
        by_label |= dict(zip(labels, handles, strict=True))
    return {"handles": list(by_label.values()), "labels": list(by_label)} if by_label else {}


def _error(trial: Trial) -> float | None:
    """Return the validation error in percent of a trial that has finished."""
    finished = objective(trial) is not None and trial.val_accuracy is not None
    return 100 * (1 - trial.val_accuracy) if finished and trial.val_accuracy is not None else None


def _title(trials: Sequence[Trial]) -> str:
    counts = Counter(trial.state for trial in trials)
    ended = ", ".join(f"{counts[state]} {state}" for state in ("finished", "pruned", "failed") if counts[state])
    return f"{len(trials)} {'trial' if len(trials) == 1 else 'trials'}: {ended}" if trials else "no trial has ended"


def _prepare(ax: Any, values: Choices | Range) -> None:
    """Set the horizontal axis to the values that a setting can have."""
    from matplotlib.ticker import MaxNLocator

    ax.grid(color="0.9")
    ax.set_axisbelow(True)
    if isinstance(values, Range):
        if values.log:
            ax.set_xscale("log")
            margin = (values.high / values.low) ** 0.04
            ax.set_xlim(values.low / margin, values.high * margin)
            _label_logarithms(ax.xaxis, values.high / values.low)
        else:
            margin = 0.04 * (values.high - values.low)
            ax.set_xlim(values.low - margin, values.high + margin)
            ax.xaxis.set_major_locator(MaxNLocator(5, integer=values.whole))
        return
    labels = [value if isinstance(value, str) else json.dumps(value) for value in values.values]
    labels = [label if len(label) <= 16 else f"{label[:15]}…" for label in labels]
    slanted = {"rotation": 30, "ha": "right", "rotation_mode": "anchor"} if sum(map(len, labels)) > 24 else {}
    ax.set_xticks(range(len(labels)), labels, **slanted)
    ax.set_xlim(-0.6, len(labels) - 0.4)


def _scale(ax: Any, values: Sequence[float]) -> None:
    """Make the vertical axis logarithmic where a few bad trials would press the others together."""
    if values and 0 < 5 * min(values) < max(values):
        ax.set_yscale("log")
        _label_logarithms(ax.yaxis, max(values) / min(values))


def _label_logarithms(axis: Any, ratio: float) -> None:
    """Label 1, 2 and 5 of each power of ten, the powers alone on a long axis, and round numbers on a short one."""
    from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if ratio < 50 else (1,)) if ratio > 5 else MaxNLocator(4))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _draw_trials(
    ax: Any, trials: Sequence[Trial], name: str, values: Choices | Range, metric: Metric, chosen: Any
) -> None:
    """Draw a mark for each trial, and the median."""
    places = [(place, trial) for trial in trials if (place := _place(trial, name, values)) is not None]
    finished = [(place, value) for place, trial in places if (value := metric(trial)) is not None]
    _draw_marks(ax, finished, "o", label="finished", color=COLORS[0], markersize=4, alpha=0.6, markeredgewidth=0)
    if metric is objective:
        pruned = [
            (place, trial.val_losses[-1]) for place, trial in places if trial.state == "pruned" and trial.val_losses
        ]
        _draw_marks(ax, pruned, "x", label="pruned, at its last loss", color="0.55", markersize=4)
    # At the upper edge, because they have no metric.
    failed = [(place, 0.97) for place, trial in places if objective(trial) is None and trial.state != "pruned"]
    _draw_marks(ax, failed, "v", label="failed", color=COLORS[1], markersize=5, transform=ax.get_xaxis_transform())
    _draw_medians(ax, finished, values)
    best = [
        (place, value)
        for place, trial in places
        if (value := metric(trial)) is not None and dict(trial.settings) == chosen
    ]
    _draw_marks(ax, best, "*", label="chosen", color=COLORS[4], markeredgecolor="black", markersize=11, zorder=4)


def _draw_marks(ax: Any, points: Sequence[tuple[float, float]], marker: str, **style: Any) -> None:
    if points:
        ax.plot([x for x, _ in points], [y for _, y in points], marker, **style)


def _place(trial: Trial, name: str, values: Choices | Range) -> float | None:
    """Return where a trial stands on the axis of a setting, or None if it has another value than the study."""
    value = trial.settings.get(name)
    if isinstance(values, Range):
        return value if isinstance(value, int | float) else None
    if value not in values.values:
        return None
    # Beside each other, by a sequence that fills the strip evenly.
    return values.values.index(value) + 0.5 * (trial.number * _GOLDEN % 1 - 0.5)


def _draw_medians(ax: Any, points: Sequence[tuple[float, float]], values: Choices | Range) -> None:
    style = {"color": COLORS[2], "linewidth": 2}
    if isinstance(values, Choices):
        for place in range(len(values.values)):
            of_choice = [y for x, y in points if round(x) == place]
            if len(of_choice) > 2:
                ax.plot([place - 0.3, place + 0.3], [statistics.median(of_choice)] * 2, **style, label="median")
    elif len(points) >= _CURVE_FROM:
        width = max(5, len(points) // 4)
        ordered = np.array(sorted(points, key=lambda point: point[0]))
        x, y = np.median(np.lib.stride_tricks.sliding_window_view(ordered, width, axis=0), axis=2).T
        places, where = np.unique(x, return_inverse=True)
        ax.plot(places, np.bincount(where, y) / np.bincount(where), **style, label="median")


def _draw_importances(ax: Any, shares: dict[str, float]) -> None:
    ax.barh(list(shares), list(shares.values()), color=COLORS[5])
    ax.invert_yaxis()
    ax.tick_params(labelsize=8)
    ax.grid(color="0.9", axis="x")
    ax.set_axisbelow(True)
    ax.set_xlim(0, 1)
    ax.set_xlabel("importance for a place in the better half of the finished trials (PED-ANOVA)", fontsize=9)
