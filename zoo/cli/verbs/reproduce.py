"""``zoo reproduce NAME``: train a published recipe again and compare the test errors."""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import yaml

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import model_info
from zoo.utils.errors import Stopped, UsageError


def run(verb: str, arguments: list[str]) -> int:
    """Train and return the exit status: 0, or 1 if the mean number of errors is outside the published interval."""
    parser = ShortErrorParser(
        prog="zoo reproduce",
        description="Train a member's published recipe again and say whether its test errors fall where they should.",
    )
    parser.add_argument("name", help="the member")
    parser.add_argument("--seeds", type=int, default=1, help="train with the seeds 0 to SEEDS - 1 (default: 1)")
    options = parser.parse_args(arguments)
    if options.seeds < 1:
        raise UsageError(f"--seeds is {options.seeds}, but at least 1 run is needed.")
    info = model_info(options.name)

    from zoo.cli.verbs.trainer import fit
    from zoo.pretrained.loading import published_entry

    published_entry(info)
    entry = info.metrics
    if entry is None:
        raise UsageError(f"{info.name} is no classifier: train it again with `zoo fit --config demos/{info.name}`.")
    published = {run["seed"]: run["test_errors"] for run in entry["runs"]}
    test_errors = []
    with tempfile.TemporaryDirectory() as folder:
        # The recipe behind the published metrics. The member's config may have changed since.
        config = Path(folder) / f"{info.name}.yaml"
        config.write_text(yaml.safe_dump(entry["config"], sort_keys=False), encoding="utf-8")
        for seed in range(options.seeds):
            try:
                metrics = fit(["--config", str(config), "--seed_everything", str(seed)])
            except Stopped as stopped:
                print("zoo: interrupted, so nothing is compared.", file=sys.stderr)
                return 128 + stopped.signal
            test_errors.append(int(metrics["test_errors"]))
    print()
    for seed, errors in enumerate(test_errors):
        comparison = f"{published[seed]:,} were published" if seed in published else "no published run has this seed"
        print(f"seed {seed}: {errors:,} errors; {comparison}")
    low, high = entry["reproduction_interval"]
    mean = statistics.fmean(test_errors)
    inside = low <= mean <= high
    outcome = "reproduced" if inside else "NOT reproduced"
    where = "within" if inside else "outside"
    print(
        f"{info.name} is {outcome}: {mean:,.1f} errors on average, {where} the published interval {low:,} to {high:,}"
    )
    return 0 if inside else 1
