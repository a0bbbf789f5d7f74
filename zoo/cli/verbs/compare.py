"""``zoo compare A B``: compare members pairwise, and evaluate them as a committee."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import ShortErrorParser
from zoo.metrics.intervals import wilson_interval
from zoo.pretrained.registry import list_models, model_info
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError
from zoo.utils.files import check_output, display_path
from zoo.utils.pictures import save_figure

if TYPE_CHECKING:
    from zoo.inference.comparison import Comparison

IMAGES_SHOWN = 20
"""Maximum number of images drawn for each member, of those that only this member classifies correctly."""
SIGNIFICANCE_LEVEL = 0.05
"""A difference with a larger p-value is not significant."""


def run(verb: str, arguments: list[str]) -> int:
    """Print the comparison and return the exit status."""
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
        model_info(name)  # report a misspelled name before the slow imports
    if len(set(names)) < 2 or len(set(names)) < len(names):
        raise UsageError("Name two different members or more, or none for all of them.")
    picture = options.output_dir / "compare.png"
    if len(names) == 2:
        check_output(picture)

    from zoo.inference.comparison import compare

    flush_denormals()
    comparison = compare(names)
    print(_table(comparison))
    first = names[0]
    for other in names[1:]:
        print(_pairwise_line(comparison, first, other))
    if len(names) == 2:
        _draw(comparison, names, picture)
    return 0


def _table(comparison: Comparison) -> str:
    rows = [(name, predictions) for name, predictions in comparison.predictions.items()]
    rows += [("committee, mean probability", comparison.mean), ("committee, vote", comparison.vote)]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':<{width}}  errors  accuracy  95 % interval"]
    for name, predictions in rows:
        images = len(comparison.labels)
        errors = int((predictions != comparison.labels).sum())
        low, high = wilson_interval(errors, images)
        interval = f"{1 - high / images:.4f}–{1 - low / images:.4f}"
        lines.append(f"{name:<{width}}  {errors:>6,}  {1 - errors / images:>8.4f}  {interval}")
    return "\n".join(lines)


def _pairwise_line(comparison: Comparison, first: str, other: str) -> str:
    from zoo.inference.comparison import contingency_table

    counts = contingency_table(comparison.correct(first), comparison.correct(other))
    p = counts.p_value
    conclusion = (
        "may well be chance"
        if p > SIGNIFICANCE_LEVEL
        else f"{first if counts.only_first_correct > counts.only_second_correct else other} is better on such images"
    )
    return (
        f"{first} and {other}: {counts.both_correct:,} right by both, {counts.only_first_correct} by {first} alone, "
        f"{counts.only_second_correct} by {other} alone, {counts.both_incorrect} by neither; p = {p:.2g}: {conclusion}"
    )


def _draw(comparison: Comparison, names: Sequence[str], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.5, 5.4), layout="constrained")
    halves: Any = figure.subfigures(2, 1)
    for half, (first, second) in zip(halves, [names, names[::-1]], strict=True):
        rows = (comparison.correct(first) & ~comparison.correct(second)).nonzero()[:, 0]
        half.suptitle(
            f"only {first} is right, {len(rows)} images, the first {min(IMAGES_SHOWN, len(rows))}:", fontsize=9
        )
        axes = half.subplots(2, IMAGES_SHOWN // 2)
        for subplot in axes.flat:
            subplot.axis("off")
        for subplot, row in zip(axes.flat, rows[:IMAGES_SHOWN].tolist(), strict=False):
            subplot.imshow(comparison.images[row, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
            subplot.set_title(
                f"{int(comparison.labels[row])}, not {int(comparison.predictions[second][row])}", fontsize=7, y=-0.2
            )
    save_figure(figure, path)
    print(f"Picture:    {display_path(path)}")
