"""Strips of dots: the test errors of many runs, a row for each recipe."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

from zoo.utils.pictures import COLORS

ROW_HEIGHT = 0.42
"""Inches for a row."""
STEP = 0.1
"""The distance of two dots one above the other, in rows."""
COLUMNS = 190
"""Columns in the width of the picture. Of the dots in one column, one is drawn above or below the other."""
MOST = 0.3
"""The largest distance of a dot from the middle of its row, in rows."""
WIDE = 3
"""The axis is logarithmic if the largest count is more than so many times the smallest."""


class Strip(NamedTuple):
    """The runs of one recipe."""

    label: str
    errors: Sequence[int]
    """Misclassified test images of each run."""
    interval: Sequence[float] | None
    """The 95 % interval of their mean."""
    shipped: int | None = None
    """The errors of the network that ships."""


def draw_strips(strips: Sequence[Strip], images: int) -> Any:
    """Return a figure with a dot for each run, a bar for each interval and a diamond for each network that ships.

    Args:
        strips: The rows, from top to bottom.
        images: Number of test images.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.3 + ROW_HEIGHT * len(strips)), layout="constrained")
    ax = figure.subplots()
    counts = [count for strip in strips for count in strip.errors]
    is_logarithmic = min(counts) > 0 and max(counts) > WIDE * min(counts)
    if is_logarithmic:
        ax.set_xscale("log")
    width = _column_width(counts, is_logarithmic)
    for row, strip in enumerate(strips):
        places = [_place(count, is_logarithmic) for count in strip.errors]
        heights = [row + offset for offset in _offsets(places, width)]
        ax.plot(strip.errors, heights, "o", color=COLORS[0], alpha=0.6, markersize=3.5, mew=0, label="a run")
        if strip.interval is not None:
            ax.plot(strip.interval, [row + 0.36] * 2, color=COLORS[1], linewidth=3, label="95 % interval of the mean")
        if strip.shipped is not None:
            ax.plot([strip.shipped], [row], "D", mfc="none", mec=COLORS[6], ms=7, label="the network that ships")
    labels = [f"{strip.label}  n = {len(strip.errors)}" for strip in strips]
    ax.set_yticks(range(len(strips)), labels, parse_math=False)
    ax.set(ylim=(len(strips) - 0.5, -0.5), xlabel=f"test errors in {images:,} images")
    if is_logarithmic:
        _name_logarithmic_axis(ax)
    ax.grid(color="0.9", axis="x")
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "right", "top"]].set_visible(False)
    handles, names = ax.get_legend_handles_labels()
    shown = dict(zip(names, handles, strict=True))
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _name_logarithmic_axis(ax: Any) -> None:
    low, high = ax.get_xlim()
    ticks = [step * 10**power for power in range(10) for step in (1, 1.5, 2, 3, 5, 7)]
    ax.set_xticks([tick for tick in ticks if low <= tick <= high and tick == int(tick)], minor=False)
    ax.set_xticks([], minor=True)
    ax.xaxis.set_major_formatter("{x:,g}")
    ax.set_xlabel(f"{ax.get_xlabel()} (logarithmic)")


def _place(count: int, is_logarithmic: bool) -> float:
    return math.log(count) if is_logarithmic else count


def _column_width(counts: Sequence[int], is_logarithmic: bool) -> float:
    span = _place(max(counts), is_logarithmic) - _place(min(counts), is_logarithmic)
    return span / COLUMNS or 1


def _offsets(places: Sequence[float], width: float) -> list[float]:
    """Return offsets that draw close dots apart, in turn above and below the middle of the row."""
    seen: Counter[int] = Counter()
    offsets = []
    for place in places:
        column = round(place / width)
        before = seen[column]
        offsets.append(max(-MOST, min(MOST, STEP * ((before + 1) // 2) * (1 if before % 2 else -1))))
        seen[column] += 1
    return offsets
