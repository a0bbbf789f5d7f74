"""``zoo compare A B``: members beside each other, and together."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import ShortErrorParser
from zoo.metrics.intervals import wilson_interval
from zoo.pretrained.registry import list_models, model_info
from zoo.utils.errors import UsageError
from zoo.utils.files import as_typed, atomic_path

if TYPE_CHECKING:
    from zoo.inference.comparison import Comparison

SHOWN = 20
"""Images that only one gets right, of each."""
TELLING = 0.05
"""A p-value from which on a difference may well be chance."""


def run(verb: str, arguments: list[str]) -> int:
    """Compare and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo compare",
        description="Compare trained members on the 10,000 official test images, image by image with McNemar's exact "
        "test, and say how they do as a committee.",
        epilog="With two members, what only one of them gets right is drawn.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="two members or more; none means all that ship trained"
    )
    parser.add_argument("--output_dir", type=Path, default=Path("comparison"), help="folder for the picture")
    options = parser.parse_args(arguments)
    names = options.names or list_models(pretrained=True)
    for name in names:
        model_info(name)  # a misspelt name is found before seconds are spent
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise UsageError("Name two different members or more, or none for all of them.")

    from zoo.inference.comparison import compare

    found = compare(names)
    print(_table(found))
    first = names[0]
    for other in names[1:]:
        print(_pair(found, first, other))
    if len(names) == 2:
        _draw(found, names, options.output_dir / "compare.png")
    return 0


def _table(found: Comparison) -> str:
    rows = [(name, answers) for name, answers in found.answers.items()]
    rows += [("committee, mean probability", found.mean), ("committee, vote", found.vote)]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':<{width}}  errors  accuracy  95 % interval"]
    for name, answers in rows:
        images = len(found.labels)
        errors = int((answers != found.labels).sum())
        low, high = wilson_interval(errors, images)
        interval = f"{1 - high / images:.4f}–{1 - low / images:.4f}"
        lines.append(f"{name:<{width}}  {errors:>6,}  {1 - errors / images:>8.4f}  {interval}")
    return "\n".join(lines)


def _pair(found: Comparison, first: str, other: str) -> str:
    from zoo.inference.comparison import pair

    counts = pair(found.right(first), found.right(other))
    p = counts.p_value
    verdict = (
        "may well be chance"
        if p > TELLING
        else f"{first if counts.only_first_right > counts.only_second_right else other} is better on such images"
    )
    return (
        f"{first} and {other}: {counts.both_right:,} right by both, {counts.only_first_right} by {first} alone, "
        f"{counts.only_second_right} by {other} alone, {counts.both_wrong} by neither; p = {p:.2g}: {verdict}"
    )


def _draw(found: Comparison, names: Sequence[str], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 5.4), layout="constrained")
    halves: Any = figure.subfigures(2, 1)
    for half, (better, worse) in zip(halves, [names, names[::-1]], strict=True):
        rows = (found.right(better) & ~found.right(worse)).nonzero()[:, 0]
        half.suptitle(f"only {better} is right, {len(rows)} images, the first {min(SHOWN, len(rows))}:", fontsize=9)
        axes = half.subplots(2, SHOWN // 2)
        for place in axes.flat:
            place.axis("off")
        for place, row in zip(axes.flat, rows[:SHOWN].tolist(), strict=False):
            place.imshow(found.images[row, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
            place.set_title(f"{int(found.labels[row])}, not {int(found.answers[worse][row])}", fontsize=7, y=-0.2)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png", dpi=120)
    print(f"Picture:    {as_typed(path)}")
