"""The test errors of every published run of every member, with the shipped network among them."""

from __future__ import annotations

from typing import Any

from zoo.figures.writing import FigureWriter
from zoo.pretrained.entries import Entry
from zoo.pretrained.registry import list_models, read_index
from zoo.utils.strips import Strip, draw_strips


def draw(writer: FigureWriter) -> None:
    """Draw a strip of dots for each member that ships, the most accurate first.

    A dot is a run on the kind of processor that has most of them. A bar is the 95 % interval of their mean. A diamond
    is the network that ships, which may be from another processor.
    """
    index = read_index()
    names = sorted(list_models(pretrained=True), key=lambda name: index[name]["errors_mean"])
    strips = [_strip(name, index[name]) for name in names]
    rows: list[list[str | int | float | None]] = []
    for name in names:
        entry = index[name]
        rows += [["run", name, each["runs_on"], run["seed"], run["test_errors"]] for each, run in _runs(entry)]
        rows.append(["shipped", name, str(entry["machine"]["processor"]), entry["seed"], entry["test_errors"]])
    figure = draw_strips(strips, index[names[0]]["test_images"])
    writer.write(figure, ["kind", "member", "processor", "seed", "test_errors"], rows, "members")


def _strip(name: str, entry: Entry) -> Strip:
    errors = [run["test_errors"] for run in entry["runs"]]
    return Strip(name, errors, entry["errors_mean_ci95"], entry["test_errors"])


def _runs(entry: Entry) -> Any:
    """Return all runs with their distributions."""
    return [(each, run) for each in (entry, *entry["elsewhere"]) for run in each["runs"]]
