"""Curves of the metrics that training runs logged."""

from __future__ import annotations

import csv
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.figures.drawing import panels
from zoo.figures.writing import FigureWriter, Row
from zoo.runs.recipe import differing_settings, recipe, setting
from zoo.runs.run import Run, runs_in
from zoo.utils.errors import UsageError
from zoo.utils.pictures import COLORS
from zoo.utils.printable import printable

SPLITS = ("train", "val")
MOST_SETTINGS = 3
"""Settings that a label names at most; where more differ, it is the name of the run's folder."""
History = dict[str, dict[int, float]]
"""For each metric, its value by epoch, counted from 0."""


def draw(writer: FigureWriter, folders: Sequence[Path]) -> None:
    """Draw all metrics that runs of ``zoo fit`` logged per epoch, see `curves_of`.

    Args:
        writer: Writes the files.
        folders: The folders of the runs, ``logs/NAME/version_N``.

    Raises:
        UsageError: A path is not the folder of a run, or no epoch has been logged yet.
    """
    runs = [Run.read(folder) for folder in folders]
    histories = [read_history(run) for run in runs]
    rows: list[Row] = [
        [str(run.folder), name, epoch + 1, value]
        for run, history in zip(runs, histories, strict=True)
        for name, values in history.items()
        for epoch, value in sorted(values.items())
    ]
    writer.write(curves_of(runs, histories), ["run", "name", "epoch", "value"], rows, "curves")


def curves_of(runs: Sequence[Run], histories: Sequence[History]) -> Any:
    """Return a figure of the metrics that runs logged per epoch.

    A metric has a panel: the training values dashed and the validation values solid, a color for each run. The runs are
    labelled by the settings that differ between them. A run that was resumed is one curve with what went before it. Of
    equal runs, such as two with the same seed, the first has the widest line, so that all are seen.

    Args:
        runs: One or more runs.
        histories: What each has logged, as `read_history` returns it.

    Returns:
        A `matplotlib.figure.Figure`.
    """
    labels = run_labels(runs)
    groups: dict[str, list[str]] = {}
    for name in dict.fromkeys(name for history in histories for name in history):
        split, _, rest = name.partition("_")
        groups.setdefault(rest if split in SPLITS else name, []).append(name)
    # Below the panels, a line for each run, because labels may be long.
    lines = len(runs) + 2 if len(runs) > 1 else 0
    figure, axes = panels(1, len(groups), size=(3.8, 3.2 + 0.18 * lines))
    for ax, (group, names) in zip(axes.flat, sorted(groups.items()), strict=True):
        for number, history in enumerate(histories):
            width = 1.5 + 2 * list(histories[number + 1 :]).count(history)
            for name in (name for name in names if name in history):
                split = name.partition("_")[0]
                epochs, values = zip(*sorted(history[name].items()), strict=True)
                ax.plot(
                    [epoch + 1 for epoch in epochs],
                    values,
                    label=name,
                    color=COLORS[number % len(COLORS)],
                    linewidth=width,
                    linestyle="--" if split == "train" else "-",
                    marker="o" if len(epochs) == 1 else None,
                    markersize=9 if split == "train" else 5,
                    markerfacecolor="none" if split == "train" else None,
                )
        ax.set(xlabel="epoch", ylabel={"loss": "loss in nats", "acc": "accuracy"}.get(group, group))
        ax.xaxis.get_major_locator().set_params(integer=True)
        if all(len(history[name]) == 1 for history in histories for name in names if name in history):
            ax.set_xticks(
                sorted({epoch + 1 for history in histories for name in names for epoch in history.get(name, ())})
            )
        if len(runs) == 1:
            ax.legend(frameon=False, fontsize=8)
    if len(runs) == 1:
        figure.suptitle(printable(f"{runs[0].folder.parent.name}, {runs[0].folder.name}"), fontsize=10)
    else:
        of = {run.folder.parent.name for run in runs}
        if len(of) == 1:
            figure.suptitle(printable(of.pop()), fontsize=10)
        single = all(len(values) == 1 for history in histories for values in history.values())
        _add_legend(figure, [textwrap.shorten(printable(label), 90 * len(groups) // 2) for label in labels], single)
    return figure


def _add_legend(figure: Any, labels: Sequence[str], single: bool) -> None:
    """Say below the panels which color is which run's, and which line is of which images.

    Args:
        figure: The figure.
        labels: What the runs are called.
        single: Whether each line is a dot, of a single epoch.
    """
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], color=COLORS[number % len(COLORS)]) for number in range(len(labels))]
    if single:
        open_dot = Line2D([], [], color="0.3", linestyle="", marker="o", markersize=9, markerfacecolor="none")
        handles += [open_dot, Line2D([], [], color="0.3", linestyle="", marker="o", markersize=5)]
        names = [*labels, "open: training", "filled: validation"]
    else:
        handles += [Line2D([], [], color="0.3", linestyle="--"), Line2D([], [], color="0.3")]
        names = [*labels, "dashed: training", "solid: validation"]
    figure.legend(handles, names, loc="outside lower center", frameon=False, fontsize=8)


def run_labels(runs: Sequence[Run]) -> list[str]:
    """Return a label for each run: the settings that differ between the runs, or their folders' names."""
    configs = [recipe(run.config or {}) for run in runs]
    folders = [f"{run.folder.parent.name} {run.folder.name}" for run in runs]
    names = differing_settings(configs)
    if not names or len(names) > MOST_SETTINGS:
        return folders
    labels = [", ".join(f"{name.rpartition('.')[2]} {setting(config, name)}" for name in names) for config in configs]
    if len(set(labels)) < len(labels):
        return folders
    names_of_runs = [run.folder.parent.name for run in runs]
    if len(set(names_of_runs)) == 1:
        return labels
    return [f"{name}: {label}" for name, label in zip(names_of_runs, labels, strict=True)]


def read_history(run: Run) -> History:
    """Return the logged metrics of a run and of those that it was resumed from, as far as they lie beside it.

    Raises:
        UsageError: As for `read_log`.
    """
    history = read_log(run.folder / "metrics.csv")
    others = {other.id: other for other in runs_in(run.folder.absolute().parent) if other.id}
    seen = {run.id}
    while run.continues in others and run.continues not in seen:
        run = others[run.continues]
        seen.add(run.id)
        if not (run.folder / "metrics.csv").is_file():
            continue  # it was interrupted before the end of its first epoch
        # Where the earlier run went on after the checkpoint, the later one replaces what it logged.
        first = min(epoch for values in history.values() for epoch in values)
        for name, values in read_log(run.folder / "metrics.csv").items():
            earlier = {epoch: value for epoch, value in values.items() if epoch < first}
            history[name] = earlier | history.get(name, {})
    return {name: values for name, values in history.items() if values}


def read_log(path: Path) -> History:
    """Read the metrics of each epoch from the CSV log of a run. Test metrics are left out.

    Raises:
        UsageError: The log cannot be read or is empty.
    """
    if not path.is_file():
        if (path.parent / "config.yaml").is_file():
            raise UsageError(f"{path.parent} has no metrics.csv: the run was made without a CSVLogger, or it is gone.")
        raise UsageError(f"{path.parent} is no run's folder: name one that `zoo fit` has made, logs/NAME/version_0.")
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        logged: History = {}
        for row in rows:
            for name, value in row.items():
                # Some callbacks log between epochs, and the last row of an interrupted log may be too long.
                if value and row["epoch"] and name not in (None, "epoch", "step") and not name.startswith("test"):
                    logged.setdefault(name, {})[int(row["epoch"])] = float(value)
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise UsageError(f"{path} is damaged ({error}): name another run.") from error
    if not logged:
        raise UsageError(f"{path} holds no metrics of an epoch yet: wait for the first to end.")
    return logged
