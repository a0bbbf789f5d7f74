"""``zoo list``: the members at a glance, without importing torch."""

from __future__ import annotations

from zoo.cli.arguments import ShortErrorParser
from zoo.members import ModelInfo, list_models, model_info


def run(verb: str, arguments: list[str]) -> int:
    """Print the table of members and return the exit status."""
    parser = ShortErrorParser(prog="zoo list", description="List the members of the zoo.")
    parser.add_argument("filter", nargs="?", default="*", help='a shell pattern, for example "deep*"')
    options = parser.parse_args(arguments)
    members = [model_info(name) for name in list_models(options.filter)]
    if not members:
        print(f"No member matches {options.filter!r}.")
        return 0
    print(table(members))
    return 0


def table(members: list[ModelInfo]) -> str:
    """Return the members as an aligned table: name, what it is, parameters, test accuracy."""
    rows = [("name", "what it is", "parameters", "test accuracy"), *map(_row, members)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {what:<{widths[1]}}  {size:>{widths[2]}}  {accuracy:>{widths[3]}}".rstrip()
        for name, what, size, accuracy in rows
    )


def _row(member: ModelInfo) -> tuple[str, str, str, str]:
    if member.figures is None or member.test_accuracy is None:
        return member.name, member.description, "–", "–"
    return member.name, member.description, f"{member.figures['parameters']:,}", f"{member.test_accuracy:.4f}"
