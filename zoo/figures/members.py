"""The test errors of every published run of every member, with the shipped network among them."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

from zoo.figures.writing import FigureWriter
from zoo.pretrained.entries import Entry
from zoo.pretrained.registry import list_models, read_index
from zoo.utils.pictures import COLORS

ROW_HEIGHT = 0.42
"""Inches for a member."""
STEP = 0.1
"""The distance of two dots one above the other, in rows."""
DOT_WIDTH = 0.016
"""The width of a dot on the logarithmic axis: of closer ones one is drawn above or below the other."""
MOST = 0.3
"""The largest distance of a dot from the middle of its row, in rows."""
TICKS = (50, 70, 100, 150, 200, 300, 500, 800)


def draw(writer: FigureWriter) -> None:
    """Draw a strip of dots for each member that ships, the most accurate first.

    A dot is a run on the kind of processor that has most of them. A bar is the 95 % interval of their mean. A diamond
    is the network that ships, which may be from another processor.
    """
    from matplotlib.figure import Figure

    index = read_index()
    names = sorted(list_models(pretrained=True), key=lambda name: index[name]["errors_mean"])
    figure = Figure(figsize=(8, 1.3 + ROW_HEIGHT * len(names)), layout="constrained")
    ax = figure.subplots()
    ax.set_xscale("log")
    rows: list[list[str | int | float | None]] = []
    for row, name in enumerate(names):
        entry = index[name]
        _draw_strip(ax, row, entry)
        rows += [["run", name, each["runs_on"], run["seed"], run["test_errors"]] for each, run in _runs(entry)]
        rows.append(["shipped", name, str(entry["machine"]["processor"]), entry["seed"], entry["test_errors"]])
    ax.set_yticks(range(len(names)), [f"{name}  n = {len(index[name]['runs'])}" for name in names])
    ax.set(ylim=(len(names) - 0.5, -0.5), xlabel="test errors in 10,000 images (logarithmic)")
    low, high = ax.get_xlim()
    ax.set_xticks([tick for tick in TICKS if low <= tick <= high], minor=False)
    ax.set_xticks([], minor=True)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.grid(color="0.9", axis="x")
    ax.set_axisbelow(True)
    ax.tick_params(axis="y", length=0)
    ax.spines[["left", "right", "top"]].set_visible(False)
    handles, labels = ax.get_legend_handles_labels()
    shown = dict(zip(labels, handles, strict=True))
    figure.legend(shown.values(), shown.keys(), loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    writer.write(figure, ["kind", "member", "processor", "seed", "test_errors"], rows, "members")


def _draw_strip(ax: Any, row: int, entry: Entry) -> None:
    errors = [run["test_errors"] for run in entry["runs"]]
    heights = [row + offset for offset in _offsets(errors)]
    ax.plot(errors, heights, "o", color=COLORS[0], alpha=0.6, markersize=3.5, mew=0, label="a run")
    if (interval := entry["errors_mean_ci95"]) is not None:
        ax.plot(interval, [row + 0.36] * 2, color=COLORS[1], linewidth=3, label="95 % interval of the mean")
    style = {"color": "none", "markeredgecolor": COLORS[6], "markersize": 7}
    ax.plot([entry["test_errors"]], [row], "D", **style, label="the network that ships")


def _offsets(errors: Sequence[int]) -> list[float]:
    """Return offsets that draw close dots apart, in turn above and below the middle of the row."""
    seen: Counter[int] = Counter()
    offsets = []
    for count in errors:
        column = round(math.log(max(count, 1)) / DOT_WIDTH)
        place = seen[column]
        offsets.append(max(-MOST, min(MOST, STEP * ((place + 1) // 2) * (1 if place % 2 else -1))))
        seen[column] += 1
    return offsets


def _runs(entry: Entry) -> Any:
    """Return all runs with their distributions."""
    return [(each, run) for each in (entry, *entry["elsewhere"]) for run in each["runs"]]
