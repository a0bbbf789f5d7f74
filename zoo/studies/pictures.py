"""The picture of a study's report."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.metrics.intervals import prediction_interval
from zoo.pretrained.distributions import mean_interval
from zoo.pretrained.run_tables import hardware_of
from zoo.studies.settings import SearchSpace
from zoo.studies.settings_pictures import draw_settings, legend_of
from zoo.studies.trial import Trial
from zoo.utils.pictures import COLORS, save_figure

_COLUMNS = 80
"""Columns of dots in the width of the picture: in more they would overlap."""


def draw_study(trials: Sequence[Trial], space: SearchSpace | None, path: Path) -> None:
    """Draw what a study has found, as a PNG file.

    A study of seeds: the test errors, a dot for each run, with their mean and intervals, for each kind of processor or
    GPU apart. A study of settings: validation metrics alone, see `zoo.studies.settings_pictures.draw_settings`.

    Args:
        trials: The trials that have ended, 0 or more.
        space: The settings of the study. None, or a space without settings, for a study of seeds.
        path: The file.

    Raises:
        UsageError: As for `zoo.utils.pictures.save_figure`.
    """
    save_figure(draw_settings(trials, space) if space and space.settings else _draw_seeds(trials), path)


def _draw_seeds(trials: Sequence[Trial]) -> Any:
    from matplotlib.figure import Figure

    is_rbm = not any(trial.test_errors is not None for trial in trials) and any(trial.likelihood for trial in trials)
    runs: dict[str, list[float]] = {}
    for trial in trials:
        value = trial.likelihood.get("log_likelihood") if is_rbm else trial.test_errors
        if trial.state == "finished" and value is not None:
            runs.setdefault(hardware_of(trial.machine), []).append(value)
    most = max((value for of_machine in runs.values() for value in of_machine), default=0)
    images = max((trial.test_images or int(most) for trial in trials), default=0)
    rows = max(1, len(runs))
    figure = Figure(figsize=(7, 0.8 + 2.1 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0]
    what = "test log-likelihood" if is_rbm else f"test errors in {images:,} images"
    figure.suptitle(_title(trials, sum(map(len, runs.values())), what), fontsize=10)
    next_runs = {
        machine: None if is_rbm else prediction_interval([int(value) for value in values], 1, images)
        for machine, values in runs.items()
    }
    shown = [value for machine, values in runs.items() for value in (*values, *(next_runs[machine] or ()))]
    for ax, (machine, values) in zip(axes, sorted(runs.items()), strict=False):
        _draw_runs(ax, values, next_runs[machine], _column_width(shown, is_rbm), 0 if is_rbm else 1)
        ax.set_title(f"{machine}: {_summary(values, '.2f' if is_rbm else ',.1f')}", fontsize=8)
    for ax in axes:
        ax.set(yticks=[])
        ax.grid(color="0.9", axis="x")
        ax.set_axisbelow(True)
        ax.spines[["left", "right", "top"]].set_visible(False)
    axes[-1].set(xlabel="test log-likelihood in nats" if is_rbm else "test errors")
    if handles := legend_of(figure):
        figure.legend(**handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    else:
        axes[0].set(xticks=[])
    return figure


def _column_width(values: Sequence[float], is_continuous: bool) -> float:
    """Return the width of a column of dots: a whole number of errors, or any number of nats."""
    spread = max(values, default=0) - min(values, default=0)
    return (spread or 1) / _COLUMNS if is_continuous else max(1, math.ceil((spread + 1) / _COLUMNS))


def _draw_runs(
    ax: Any, values: Sequence[float], next_run: tuple[float, float] | None, width: float, spacing: int
) -> None:
    """Draw a dot for each run, stacked in columns, and the mean and intervals below.

    Args:
        ax: The axes.
        values: The result of each run.
        next_run: The interval for one more run; None if there is none.
        width: The width of a column.
        spacing: The distance of neighboring values, 0 for real numbers. A dot is in the middle of its column's values.
    """
    heights: Counter[int] = Counter()
    x, y = [], []
    for column in sorted(math.floor(value / width) for value in values):
        x.append(column * width + (width - spacing) / 2)
        y.append(heights[column])
        heights[column] += 1
    tallest = max(heights.values())
    below = -0.16 * max(tallest, 4)
    ax.plot(x, y, "o", color=COLORS[0], markersize=4.5 if tallest < 12 else 3, label="a run")
    ax.plot([statistics.fmean(values)], [below], "|", color=COLORS[6], markersize=12, markeredgewidth=2, label="mean")
    if (interval := mean_interval(values)) is not None:
        ax.plot(interval, [below] * 2, color=COLORS[1], linewidth=4, zorder=1.5, label="95 % interval of the mean")
    if next_run is not None:
        ax.plot(next_run, [2 * below] * 2, color="0.6", linewidth=2, label="95 % interval for one more run")
    ax.set(ylim=(3 * below, max(tallest, 4) + 0.5))


def _title(trials: Sequence[Trial], runs: int, what: str) -> str:
    states = Counter(trial.state for trial in trials if trial.state != "finished")
    unfinished = "".join(f", {count} {state}" for state, count in states.items())
    if not runs:
        return f"no run has test errors{unfinished}"
    return f"{runs} {'run' if runs == 1 else 'runs'}{unfinished}: {what}"


def _summary(values: Sequence[float], form: str) -> str:
    spread = f", standard deviation {statistics.stdev(values):{form}}" if len(values) > 1 else ""
    return f"mean {statistics.fmean(values):{form}}{spread}, n {len(values)}"
