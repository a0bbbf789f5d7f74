"""``zoo list``: print a table of the members, without importing torch."""

from __future__ import annotations

import fnmatch
import json
import shutil

from zoo.cli.arguments import ShortErrorParser
from zoo.cli.member_tables import elsewhere_table, interval, published_table, runs_table, training_time
from zoo.pretrained.registry import ModelInfo, list_models, model_info, read_demonstrations

COLUMNS = ("name", "what it is", "parameters", "KiB", "test accuracy", "another test set", "training", "images/s")
SHORT_COLUMNS = ("name", "what it is", "parameters", "test accuracy", "training")
"""What fits a terminal of 80 columns."""
LEFT_ALIGNED = ("name", "what it is")
SHORTEST_DESCRIPTION = 12
"""In columns. In a terminal that leaves less room the lines are longer than it is wide."""


def run(verb: str, arguments: list[str]) -> int:
    """Print the table of members and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo list",
        description="List the members of the zoo: what each is, and the metrics of its trained network.",
        epilog="`another test set` is Wilson's 95 % interval for the network that ships on other test images; what "
        "another training may make, `zoo info NAME` says. Training time and images per second are of the machine that "
        "it names.",
    )
    parser.add_argument("filter", nargs="?", default="*", help='a shell pattern, for example "deep*"')
    parser.add_argument("--pretrained", action="store_true", help="only those that ship trained")
    parser.add_argument("--sort", choices=("name", "accuracy", "size"), default="name", help="the order")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--wide", action="store_true", help="all columns, however wide the terminal is")
    form.add_argument("--json", action="store_true", help="everything in the index, for programs")
    form.add_argument("--markdown", action="store_true", help="the tables of docs/members.md")
    options = parser.parse_args(arguments)
    members = [model_info(name) for name in list_models(options.filter, pretrained=options.pretrained)]
    if options.sort == "accuracy":
        members.sort(key=_mean_error if options.markdown else _error)
    elif options.sort == "size":
        members.sort(key=lambda member: member.metrics["parameters"] if member.metrics else 0)
    if options.json:
        print(json.dumps({member.name: as_json(member) for member in members}, indent=1, ensure_ascii=False))
    elif options.markdown:
        print(f"{runs_table(members)}\n\n{published_table(members)}\n\n{elsewhere_table(members)}")
    elif members:
        # Without a terminal, as wide as text that is read is.
        print(table(members, None if options.wide else shutil.get_terminal_size((100, 24)).columns))
        if options.filter == "*":
            print("Test accuracy: of the published network, seed 0. Means: `zoo info NAME`.")
        if shown := fnmatch.filter(read_demonstrations(), options.filter):
            print(f"Demonstrations that ship trained: {', '.join(shown)} (`zoo info NAME`).")
    else:
        print(f"No member matches {options.filter!r}.")
    return 0


def table(members: list[ModelInfo], width: int | None = None) -> str:
    """Return the members as an aligned table.

    Args:
        members: The members.
        width: How wide a line may be, which shortens the descriptions. None: all columns, as wide as they are.
    """
    columns = COLUMNS if width is None else SHORT_COLUMNS
    rows = [dict(zip(COLUMNS, cells, strict=True)) for cells in (COLUMNS, *map(_row, members))]
    widths = {column: max(len(row[column]) for row in rows) for column in columns}
    if width is not None and (excess := sum(widths.values()) + 2 * (len(columns) - 1) - width) > 0:
        widths["what it is"] = max(widths["what it is"] - excess, SHORTEST_DESCRIPTION)
    lines = []
    for row in rows:
        cells = (
            f"{_shortened(row[column], widths[column]):{'<' if column in LEFT_ALIGNED else '>'}{widths[column]}}"
            for column in columns
        )
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _shortened(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 1].rstrip() + "…"


def as_json(member: ModelInfo) -> dict[str, object]:
    """Return all information about a member as JSON-serializable values."""
    return {
        "description": member.description,
        "lecture_accuracy": member.lecture_accuracy,
        "test_accuracy": member.test_accuracy,
        "config": member.config.name,
        "checkpoint": None if member.metrics is None else member.checkpoint.name,
        "one_more_run": member.one_more_run,
        **(member.metrics or member.demonstration or {"papers": list(member.papers)}),
    }


def _error(member: ModelInfo) -> float:
    """Return the test error rate of the shipped network, or 1 for a member that is not pretrained."""
    return 1 - (member.test_accuracy or 0)


def _mean_error(member: ModelInfo) -> float:
    """Return the mean test error rate over all seeds, or 1 for a member that is not pretrained."""
    return member.metrics["errors_mean"] / member.metrics["test_images"] if member.metrics else 1.0


def _row(member: ModelInfo) -> tuple[str, ...]:
    metrics = member.metrics
    if metrics is None:
        return (member.name, member.description, *("–" for _ in COLUMNS[2:]))
    return (
        member.name,
        member.description,
        f"{metrics['parameters']:,}",
        f"{metrics['bytes'] / 1024:,.0f}",
        f"{member.test_accuracy:.4f}",
        interval(member),
        training_time(metrics),
        f"{metrics['images_per_second']:,.0f}",
    )
