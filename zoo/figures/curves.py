"""The curves of a run, from what it logged."""

from __future__ import annotations

import csv
from pathlib import Path

from zoo.figures.drawing import panels
from zoo.figures.writing import COLOURS, Row, Sheet
from zoo.utils.errors import UsageError

SPLITS = ("train", "val")


def draw(sheet: Sheet, run: Path) -> None:
    """Draw everything that a run of ``zoo fit`` logged, epoch by epoch, training and validation in one panel.

    Args:
        sheet: Where the files go.
        run: The run's folder, ``logs/NAME/version_N``.

    Raises:
        UsageError: It is no folder of a run.
    """
    logged = read_log(run / "metrics.csv")
    groups: dict[str, list[str]] = {}
    for name in logged:
        split, _, rest = name.partition("_")
        groups.setdefault(rest if split in SPLITS else name, []).append(name)
    figure, axes = panels(1, len(groups), size=(3.8, 3.2))
    for place, (group, names) in zip(axes.flat, sorted(groups.items()), strict=True):
        for name in names:
            split = name.partition("_")[0]
            epochs, values = zip(*sorted(logged[name].items()), strict=True)
            color = COLOURS[SPLITS.index(split)] if split in SPLITS else COLOURS[2]
            place.plot([epoch + 1 for epoch in epochs], values, label=name, color=color)
        place.set(xlabel="epoch", ylabel={"loss": "cost in nats", "acc": "accuracy"}.get(group, group))
        place.legend(frameon=False, fontsize=8)
    figure.suptitle(f"{run.parent.name}, {run.name}", fontsize=10)
    rows: list[Row] = [
        [name, epoch + 1, value] for name, values in logged.items() for epoch, value in sorted(values.items())
    ]
    sheet.write(figure, ["name", "epoch", "value"], rows, "curves")


def read_log(path: Path) -> dict[str, dict[int, float]]:
    """Return what was logged in each epoch of the training, by name and epoch from 0.

    Raises:
        UsageError: There is no such log.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        logged: dict[str, dict[int, float]] = {}
        for row in rows:
            for name, value in row.items():
                # Some callbacks log between epochs; a log that was cut off may have a longer row.
                if value and row["epoch"] and name not in (None, "epoch", "step") and not name.startswith("test"):
                    logged.setdefault(name, {})[int(row["epoch"])] = float(value)
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise UsageError(f"{path.parent} is no run's folder ({error}): name one like logs/NAME/version_0.") from error
    if not logged:
        raise UsageError(f"{path} holds no figures of an epoch yet: wait for the first to end.")
    return logged
