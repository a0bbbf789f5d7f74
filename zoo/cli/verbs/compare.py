"""``zoo compare A B``: compare members pairwise, as a committee, or by the runs of their recipes."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.cli.arguments import ShortErrorParser
from zoo.metrics.intervals import independent_noise, wilson_interval
from zoo.metrics.recipe_comparison import RecipeDifference, compare_recipes, holm
from zoo.pretrained.distributions import mean_interval
from zoo.pretrained.registry import best_members, list_models
from zoo.pretrained.run_tables import short_processor
from zoo.pretrained.sources import check_source
from zoo.utils.denormals import flush_denormals
from zoo.utils.errors import UsageError
from zoo.utils.files import check_output, display_path
from zoo.utils.pictures import save_figure
from zoo.utils.strips import Strip, draw_strips

if TYPE_CHECKING:
    from zoo.inference.comparison import Comparison, ContingencyTable
    from zoo.studies.recipe_runs import RecipeRuns

IMAGES_SHOWN = 20
"""Maximum number of images drawn for each member, of those that only this member classifies correctly."""
LABEL_LENGTH = 30
"""Maximum number of characters of a recipe's name in the picture."""
SIGNIFICANCE_LEVEL = 0.05
"""A difference with a larger p-value is not significant."""
FEW_RUNS = 10
"""With fewer runs of a recipe the bootstrap interval is too narrow, and a small spread may be luck."""


def run(verb: str, arguments: list[str]) -> int:
    """Print the comparison and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo compare",
        description="Compare trained members on the 10,000 official test images, image by image with McNemar's exact "
        "test, and say how they do as a committee.",
        epilog="With two members, what only one of them gets right is drawn; with more, the differences of all pairs. "
        "Members that are named are compared with the first, or with the one of --against. The p-values of several "
        "comparisons are corrected by Holm's method. With --recipes, recipes are compared in place of networks: the "
        "errors of published runs or of studies, by Welch's t-test and a bootstrap interval; every run is drawn.",
    )
    parser.add_argument(
        "names",
        nargs="*",
        metavar="NAME",
        help="two members or checkpoints of `zoo fit` or more; none means all members that ship trained",
    )
    parser.add_argument(
        "--recipes", action="store_true", help="compare the runs of recipes: each a member, or the folder of a study"
    )
    parser.add_argument(
        "--best", type=int, metavar="N", help="the N members with the highest accuracy on the validation images"
    )
    parser.add_argument("--against", metavar="NAME", help="compare each of the others with this one")
    parser.add_argument("--output_dir", type=Path, default=Path("comparison"), help="folder for the picture")
    options = parser.parse_args(arguments)
    names = options.names
    if options.best is not None:
        if names or options.recipes:
            raise UsageError("--best chooses the members itself: leave out the names and --recipes.")
        names = best_members(options.best)
    if options.against is not None:
        others = names or ([] if options.recipes else list_models(pretrained=True))
        names = [options.against, *(name for name in others if name != options.against)]
    if options.recipes:
        _compare_recipes(names, options.output_dir / "recipes.png")
        return 0
    with_words = bool(names)
    names = names or list_models(pretrained=True)
    for name in names:
        check_source(name)  # report a misspelled name before the slow imports
    if len(set(names)) < 2 or len(set(names)) < len(names):
        if options.best is not None:
            raise UsageError(f"--best is {options.best}, but two members or more are needed to compare.")
        raise UsageError("Name two different members or more, or none for all of them.")
    picture = options.output_dir / "compare.png"
    check_output(picture)

    from zoo.inference.comparison import compare
    from zoo.inference.pairs_picture import draw_pairs

    flush_denormals()
    comparison = compare(names)
    print(_table(comparison))
    if with_words or len(names) == 2:
        _print_pairs(comparison, names)
    else:
        print("Every pair is in the picture. `--against NAME` compares the others with one of them in words.")
    if len(names) == 2:
        _draw(comparison, names, picture)
    else:
        save_figure(draw_pairs(comparison), picture)
    print(f"Picture:    {display_path(picture)}")
    return 0


def _table(comparison: Comparison) -> str:
    rows = [(name, predictions) for name, predictions in comparison.predictions.items()]
    rows += [("committee, mean probability", comparison.mean), ("committee, vote", comparison.vote)]
    width = max(len(name) for name, _ in rows)
    lines = [f"{'':<{width}}  errors  accuracy  another test set (95 %)"]
    for name, predictions in rows:
        images = len(comparison.labels)
        errors = int((predictions != comparison.labels).sum())
        low, high = wilson_interval(errors, images)
        interval = f"{1 - high / images:.4f}–{1 - low / images:.4f}"
        lines.append(f"{name:<{width}}  {errors:>6,}  {1 - errors / images:>8.4f}  {interval}")
    return "\n".join(lines)


def _print_pairs(comparison: Comparison, names: Sequence[str]) -> None:
    from zoo.inference.comparison import contingency_table

    first, *others = names
    tables = [contingency_table(comparison.correct(first), comparison.correct(other)) for other in others]
    print(_heading("McNemar's exact test", len(tables)))
    corrected = holm([counts.p_value for counts in tables])
    for other, counts, p in zip(others, tables, corrected, strict=True):
        print(_pairwise_line(first, other, counts, p))


def _heading(test: str, comparisons: int) -> str:
    """Return the line that says how many tests were made."""
    several = f"{comparisons} comparisons, p-values corrected for them by Holm's method"
    return f"{test}, {several if comparisons > 1 else '1 comparison'}:"


def _pairwise_line(first: str, other: str, counts: ContingencyTable, p: float) -> str:
    better = first if counts.only_first_correct > counts.only_second_correct else other
    conclusion = "may well be chance" if p > SIGNIFICANCE_LEVEL else f"{better} makes fewer errors on such images"
    return (
        f"{first} and {other}: {counts.both_correct:,} right by both, {counts.only_first_correct} by {first} alone, "
        f"{counts.only_second_correct} by {other} alone, {counts.both_incorrect} by neither; p = {p:.2g}: {conclusion}"
    )


def _compare_recipes(names: Sequence[str], picture: Path) -> None:
    """Print a line for each recipe and each comparison with the first one, and draw the errors of all runs.

    Raises:
        UsageError: There are fewer than two different recipes, the runs of one cannot be compared, or the picture
            cannot be written.
    """
    from zoo.studies.recipe_runs import check_same_test_set, recipe_runs

    recipes = [recipe_runs(name) for name in names]
    if len({runs.name for runs in recipes}) < max(2, len(recipes)):
        raise UsageError("Name two different recipes or more, each a member or the folder of a study.")
    check_same_test_set(recipes)
    for runs in recipes:
        if len(runs.errors) < 2:
            raise UsageError(
                f"{runs.name} has one run, and of each recipe two are needed: `zoo study NAME --seeds 10` trains more."
            )
    first, *others = recipes
    for other in others:
        if len(set(first.errors)) == len(set(other.errors)) == 1:
            raise UsageError(
                f"The runs of {first.name} do not differ, nor do those of {other.name}: without a spread there is "
                "nothing to test, so add runs with other seeds."
            )
    check_output(picture)
    differences = [compare_recipes(first.errors, other.errors) for other in others]
    for runs in recipes:
        print(runs)
    heading = _heading("Welch's t-test", len(differences))
    print(heading if len(differences) == 1 else f"{heading[:-1]}, intervals not corrected:")
    corrected = holm([difference.p_value for difference in differences])
    for other, difference, p in zip(others, differences, corrected, strict=True):
        print(_recipe_line(first, other, difference, p))
    _print_cautions(recipes)
    strips = [Strip(_label(runs.name), runs.errors, mean_interval(runs.errors)) for runs in recipes]
    save_figure(draw_strips(strips, first.images), picture)
    print(f"Picture: {display_path(picture)}")


def _recipe_line(first: RecipeRuns, other: RecipeRuns, difference: RecipeDifference, p: float) -> str:
    more = difference.mean
    better = first.name if more < 0 else other.name
    conclusion = "may well be chance" if p > SIGNIFICANCE_LEVEL else f"{better} is the better recipe"
    welch, bootstrap = (
        " to ".join(_signed(bound) for bound in bounds) for bounds in (difference.welch, difference.bootstrap)
    )
    return (
        f"{first.name} makes {abs(more):,.1f} errors {'more' if more >= 0 else 'fewer'} on average than {other.name}: "
        f"difference {_signed(more)}, 95 % {welch} (Welch), {bootstrap} (bootstrap); p = {p:.2g}: {conclusion}"
    )


def _print_cautions(recipes: Sequence[RecipeRuns]) -> None:
    """Say where the runs are of several processors, or too few for what the comparison takes for granted."""
    first, *others = recipes
    for other in others:
        if other.hardware and first.hardware and other.hardware != first.hardware:
            here, there = short_processor(first.hardware), short_processor(other.hardware)
            print(
                f"The runs of {first.name} were made on {here}, and those of {other.name} on {there}, which rounds "
                "differently: a small difference may come from that."
            )
    few = [runs for runs in recipes if len(runs.errors) < FEW_RUNS]
    if few:
        print(f"With fewer than {FEW_RUNS} runs of a recipe the bootstrap interval is too narrow.")
    for runs in few:
        spread, noise = statistics.stdev(runs.errors), independent_noise(runs.errors)
        if spread < noise:
            print(
                f"The runs of {runs.name} differ by {spread:.1f} errors (sd), and independent mistakes alone would "
                f"make {noise:.1f}: of {len(runs.errors)} runs that may be luck."
            )


def _label(name: str) -> str:
    """Return the end of a long name, which leaves room for the picture."""
    return name if len(name) <= LABEL_LENGTH else f"…{name[-LABEL_LENGTH:]}"


def _signed(errors: float) -> str:
    return f"{errors:+,.1f}".replace("-", "−")


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
