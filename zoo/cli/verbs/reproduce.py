"""``zoo reproduce NAME``: train a published recipe again and compare the test errors."""

from __future__ import annotations

import math
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

from zoo.cli.arguments import ShortErrorParser
from zoo.metrics.intervals import DETECTION_PROBABILITY, detectable_loss, prediction_interval
from zoo.pretrained.entries import Entry
from zoo.pretrained.registry import model_info
from zoo.pretrained.run_tables import short_processor
from zoo.utils.checks import check_seeds
from zoo.utils.errors import Stopped, UsageError
from zoo.utils.wording import counted


def run(verb: str, arguments: list[str]) -> int:
    """Train and return the exit status: 0, or 1 if the mean number of errors is outside the published interval."""
    parser = ShortErrorParser(
        prog="zoo reproduce",
        description="Train a member's published recipe again and say whether its test errors fall where they should: "
        "in the 95 % prediction interval of the published runs.",
    )
    parser.add_argument("name", help="the member")
    parser.add_argument("--seeds", type=int, help="how many runs to train (default: 1)")
    parser.add_argument("--first_seed", type=int, help="the first run's seed; the others follow (default: 0)")
    parser.add_argument("--study", type=Path, help="take the runs of this study's folder in place of training")
    options = parser.parse_args(arguments)
    if options.study is not None and (options.seeds, options.first_seed) != (None, None):
        raise UsageError("--study takes the runs as they are: leave out --seeds and --first_seed, or --study.")
    count = 1 if options.seeds is None else options.seeds
    first = 0 if options.first_seed is None else options.first_seed
    if count < 1:
        raise UsageError(f"--seeds is {count}, but at least 1 run is needed.")
    check_seeds(**{"--first_seed": first, "The last seed": first + count - 1})
    info = model_info(options.name)

    from zoo.pretrained.loading import published_entry

    published_entry(info)
    entry = info.metrics
    if entry is None:
        raise UsageError(f"{info.name} is no classifier: train it again with `zoo fit --config demos/{info.name}`.")
    try:
        test_errors = _studied(options.study, entry) if options.study else _trained(entry, info.name, first, count)
    except Stopped as stopped:
        print("zoo: interrupted, so nothing is compared.", file=sys.stderr)
        return 128 + stopped.signal
    inside, words = verdict(info.name, [run["test_errors"] for run in entry["runs"]], test_errors, entry["test_images"])
    print(words)
    return 0 if inside else 1


def _trained(entry: Entry, name: str, first: int, count: int) -> list[int]:
    """Train with successive seeds, and print and return the test errors."""
    from zoo.cli.verbs.trainer import fit

    test_errors = {}
    with tempfile.TemporaryDirectory() as folder:
        # The recipe behind the published metrics. The member's config may have changed since.
        config = Path(folder) / f"{name}.yaml"
        config.write_text(yaml.safe_dump(entry["config"], sort_keys=False), encoding="utf-8")
        for seed in range(first, first + count):
            metrics = fit(["--config", str(config), "--seed_everything", str(seed), "--trainer.devices", "1"])
            test_errors[seed] = int(metrics["test_errors"])
    print()
    for seed, errors in test_errors.items():
        published = [
            f"{run['test_errors']:,} on {short_processor(runs['runs_on'])}"
            for runs in (entry, *entry["elsewhere"])
            for run in runs["runs"]
            if run["seed"] == seed
        ]
        comparison = f"published: {', '.join(published)}" if published else "no published run has this seed"
        print(f"seed {seed}: {counted(errors, 'error')}; {comparison}")
    _say_if_known(test_errors, entry)
    return list(test_errors.values())


def _studied(folder: Path, entry: Entry) -> list[int]:
    """Print and return the test errors of a study of the same recipe."""
    from zoo.studies.recipe_runs import RecipeRuns, check_recipe, check_same_test_set, study_runs

    runs = study_runs(folder)
    check_recipe(folder, entry["config"])
    check_same_test_set([RecipeRuns("The published network", (), entry["test_images"]), runs])
    print(runs)
    _say_if_known(dict(zip(runs.seeds, runs.errors, strict=True)), entry)
    return list(runs.errors)


def _say_if_known(test_errors: Mapping[int, int], entry: Entry) -> None:
    """Say so where runs are published ones, which say nothing about further runs.

    Args:
        test_errors: The test errors of each seed.
        entry: The published runs.
    """
    for runs in (entry, *entry["elsewhere"]):
        published = {run["seed"]: run["test_errors"] for run in runs["runs"]}
        if test_errors.items() <= published.items():
            print(
                f"These are the published runs on {short_processor(runs['runs_on'])} again, number by number. The "
                f"interval is for new runs: `--first_seed {len(published)}` tries new seeds."
            )
            return


def verdict(name: str, published: Sequence[int], found: Sequence[int], images: int) -> tuple[bool, str]:
    """Say whether runs reproduce a published recipe, and which loss they would have shown.

    Args:
        name: The member.
        published: The test errors of the published runs.
        found: The test errors of the further runs.
        images: The number of test images.

    Returns:
        Whether their mean is within the published runs' interval, and two lines of text.
    """
    count, mean = len(found), statistics.fmean(found)
    low, high = prediction_interval(published, count, images)
    inside = low <= mean <= high
    outcome = "reproduced" if inside else "NOT reproduced: better" if mean < low else "NOT reproduced: worse"
    where = "within" if inside else "below" if mean < low else "above"
    digits = math.ceil(math.log10(count))  # enough to tell the possible means of so many runs apart
    made = f"{mean:,.{digits}f} errors" if count == 1 else f"{mean:,.{digits}f} errors on average"
    spread = f" ± {statistics.stdev(published):.1f}" if len(published) > 1 else ""
    loss = detectable_loss(published, count, images)
    return inside, "\n".join(
        (
            f"{name} is {outcome}. {count} run{'s' * (count > 1)} made {made}, {where} the interval "
            f"{low:,.{digits}f} to {high:,.{digits}f}.",
            f"By the published errors, {statistics.fmean(published):,.1f}{spread} (n = {len(published)}), 95 of 100 "
            "such results are in it.",
            f"A recipe that makes {loss:,.1f} errors more on average would have been found worse with a probability of "
            f"{100 * DETECTION_PROBABILITY:.0f} %; a smaller loss may be missed.",
        )
    )
