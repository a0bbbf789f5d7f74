"""Curves of the metrics that a training run logged."""

from __future__ import annotations

import csv
from pathlib import Path

from zoo.figures.drawing import panels
from zoo.figures.writing import COLORS, FigureWriter, Row
from zoo.utils.errors import UsageError
from zoo.utils.printable import printable

SPLITS = ("train", "val")


def draw(writer: FigureWriter, run: Path) -> None:
    """Draw all metrics that a run of ``zoo fit`` logged per epoch.

    The training and validation values of a metric share a panel.

    Args:
        writer: Writes the files.
        run: The run's folder, ``logs/NAME/version_N``.

    Raises:
        UsageError: ``run`` is not the folder of a run, or no epoch has been logged yet.
    """
    logged = read_log(run / "metrics.csv")
    groups: dict[str, list[str]] = {}
    for name in logged:
        split, _, rest = name.partition("_")
        groups.setdefault(rest if split in SPLITS else name, []).append(name)
    figure, axes = panels(1, len(groups), size=(3.8, 3.2))
    for ax, (group, names) in zip(axes.flat, sorted(groups.items()), strict=True):
        for name in names:
            split = name.partition("_")[0]
            epochs, values = zip(*sorted(logged[name].items()), strict=True)
            color = COLORS[SPLITS.index(split)] if split in SPLITS else COLORS[2]
            ax.plot([epoch + 1 for epoch in epochs], values, label=name, color=color)
        ax.set(xlabel="epoch", ylabel={"loss": "loss in nats", "acc": "accuracy"}.get(group, group))
        ax.legend(frameon=False, fontsize=8)
    figure.suptitle(printable(f"{run.parent.name}, {run.name}"), fontsize=10)
    rows: list[Row] = [
        [name, epoch + 1, value] for name, values in logged.items() for epoch, value in sorted(values.items())
    ]
    writer.write(figure, ["name", "epoch", "value"], rows, "curves")


def read_log(path: Path) -> dict[str, dict[int, float]]:
    """Read the metrics of each epoch from the CSV log of a run. Test metrics are left out.

    Returns:
        For each metric, its value by epoch, counted from 0.

    Raises:
        UsageError: The log cannot be read or is empty.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        logged: dict[str, dict[int, float]] = {}
        for row in rows:
            for name, value in row.items():
                # Some callbacks log between epochs, and the last row of an interrupted log may be too long.
                if value and row["epoch"] and name not in (None, "epoch", "step") and not name.startswith("test"):
                    logged.setdefault(name, {})[int(row["epoch"])] = float(value)
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise UsageError(f"{path.parent} is no run's folder ({error}): name one like logs/NAME/version_0.") from error
    if not logged:
        raise UsageError(f"{path} holds no metrics of an epoch yet: wait for the first to end.")
    return logged
