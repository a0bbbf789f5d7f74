"""The picture of a study's report."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.metrics.intervals import prediction_interval, t_975
from zoo.studies.report import machine_of
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

    runs: dict[str, list[int]] = {}
    for trial in trials:
        if trial.state == "finished" and trial.test_errors is not None:
            runs.setdefault(machine_of(trial), []).append(trial.test_errors)
    most = max((errors for of_machine in runs.values() for errors in of_machine), default=0)
    images = max((trial.test_images or most for trial in trials), default=0)
    rows = max(1, len(runs))
    figure = Figure(figsize=(7, 0.8 + 2.1 * rows), layout="constrained")
    axes = figure.subplots(rows, 1, squeeze=False, sharex=True)[:, 0]
    figure.suptitle(_title(trials, sum(map(len, runs.values())), images), fontsize=10)
    next_runs = {machine: prediction_interval(errors, 1, images) for machine, errors in runs.items()}
    shown = [number for machine, errors in runs.items() for number in (*errors, *next_runs[machine])]
    width = max(1, math.ceil((max(shown) - min(shown) + 1) / _COLUMNS)) if shown else 1
    for ax, (machine, errors) in zip(axes, sorted(runs.items()), strict=False):
        _draw_runs(ax, errors, next_runs[machine], width)
        ax.set_title(f"{machine}: {_summary(errors)}", fontsize=8)
    for ax in axes:
        ax.set(yticks=[])
        ax.grid(color="0.9", axis="x")
        ax.set_axisbelow(True)
        ax.spines[["left", "right", "top"]].set_visible(False)
    axes[-1].set(xlabel="test errors")
    if handles := legend_of(figure):
        figure.legend(**handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    else:
        axes[0].set(xticks=[])
    return figure


def _draw_runs(ax: Any, errors: Sequence[int], next_run: tuple[float, float], width: int) -> None:
    """Draw a dot for each run, stacked in columns of a width in errors, and the mean and intervals below."""
    heights: Counter[int] = Counter()
    x, y = [], []
    for column in sorted(value // width for value in errors):
        x.append(column * width + (width - 1) / 2)
        y.append(heights[column])
        heights[column] += 1
    tallest = max(heights.values())
    below = -0.16 * max(tallest, 4)
    ax.plot(x, y, "o", color=COLORS[0], markersize=4.5 if tallest < 12 else 3, label="a run")
    mean, count = statistics.fmean(errors), len(errors)
    ax.plot([mean], [below], "|", color=COLORS[6], markersize=12, markeredgewidth=2, label="mean")
    if count > 1:
        half_width = t_975(count - 1) * statistics.stdev(errors) / math.sqrt(count)
        interval = (mean - half_width, mean + half_width)
        ax.plot(interval, [below] * 2, color=COLORS[1], linewidth=4, zorder=1.5, label="95 % interval of the mean")
    ax.plot(next_run, [2 * below] * 2, color="0.6", linewidth=2, label="95 % interval for one more run")
    ax.set(ylim=(3 * below, max(tallest, 4) + 0.5))


def _title(trials: Sequence[Trial], runs: int, images: int) -> str:
    states = Counter(trial.state for trial in trials if trial.state != "finished")
    unfinished = "".join(f", {count} {state}" for state, count in states.items())
    if not runs:
        return f"no run has test errors{unfinished}"
    return f"{runs} {'run' if runs == 1 else 'runs'}{unfinished}: test errors in {images:,} images"


def _summary(errors: Sequence[int]) -> str:
    spread = f", standard deviation {statistics.stdev(errors):.1f}" if len(errors) > 1 else ""
    return f"mean {statistics.fmean(errors):,.1f}{spread}, n {len(errors)}"
