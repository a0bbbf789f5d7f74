"""``zoo reproduce NAME``: train a published recipe again and compare."""

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
    """Reproduce and return the exit status: 0, or 1 when the result is outside the published interval."""
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
    entry = info.figures
    if entry is None:
        raise UsageError(f"{info.name} is no classifier: train it again with `zoo fit --config demos/{info.name}`.")
    published = {each["seed"]: each["test_errors"] for each in entry["runs"]}
    found = []
    with tempfile.TemporaryDirectory() as folder:
        # The recipe that the figures belong to, whatever has become of the member's config since.
        config = Path(folder) / f"{info.name}.yaml"
        config.write_text(yaml.safe_dump(entry["config"], sort_keys=False), encoding="utf-8")
        for seed in range(options.seeds):
            try:
                figures = fit(["--config", str(config), "--seed_everything", str(seed)])
            except Stopped as stopped:
                print("zoo: interrupted, so nothing is compared.", file=sys.stderr)
                return 128 + stopped.signal
            found.append(int(figures["test_errors"]))
    print()
    for seed, errors in enumerate(found):
        beside = f"{published[seed]:,} were published" if seed in published else "no published run has this seed"
        print(f"seed {seed}: {errors:,} errors; {beside}")
    low, high = entry["reproduction_interval"]
    mean = statistics.fmean(found)
    inside = low <= mean <= high
    what = "reproduced" if inside else "NOT reproduced"
    where = "within" if inside else "outside"
    print(f"{info.name} is {what}: {mean:,.1f} errors on average, {where} the published interval {low:,} to {high:,}")
    return 0 if inside else 1
