"""``zoo bench``: how fast members are trained, beside what else one could write."""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from zoo.cli.arguments import ShortErrorParser
from zoo.pretrained.registry import model_info
from zoo.utils.errors import UsageError

FOUR = ("softmax", "deep_relu_xavier", "deeper_relu_xavier", "dropout_batchnorm")
IMAGES = 55_000
"""In an epoch."""
LIKE_SCIKIT_LEARN = ["--model.persistent", "false", "--model.sample_pixels", "false", "--model.centred", "false"]
"""How an RBM's update is the work that scikit-learn's does: five matrix products."""
OTHERS = ("eager", "jax", "scikit-learn")


def run(verb: str, arguments: list[str]) -> int:
    """Measure, print and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo bench",
        description="Measure how long an epoch of `zoo fit` takes: its steps, validation, lines, logs and checkpoint; "
        "beside the same network in a loop written by hand (eager), and, where they are installed, in JAX with the "
        "epoch as one compiled scan, and scikit-learn's RBM. Epochs are interleaved, medians shown, least and most in "
        "brackets. Nothing else should run meanwhile.",
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"members, or rbm (default: {' '.join(FOUR)})")
    parser.add_argument("--rounds", type=int, default=5, help="epochs that are measured, after one that is not")
    parser.add_argument(
        "--whole",
        type=int,
        default=0,
        metavar="RUNS",
        help="also so many whole runs, in turn with those of a short PyTorch script (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=("32-true", "64-true", "bf16-mixed"),
        help="of `zoo fit`, as trainer.precision has it; the others stay in single",
    )
    parser.add_argument("--json", action="store_true", help="print every measurement as JSON")
    options = parser.parse_args(arguments)
    names = options.names or list(FOUR)
    configs = {name: model_info(name).config for name in names}
    for option, least in (("rounds", 1), ("whole", 0)):
        if not least <= (value := getattr(options, option)) <= 100:
            raise UsageError(f"--{option} is {value}, but it must be {least} to 100.")

    from zoo.data.archives import default_data_dir, stage
    from zoo.utils.environment import machine, versions

    stage(default_data_dir())
    header = {"versions": {**versions(), **_more_versions()}, "machine": machine(), "rounds": options.rounds}
    found: dict[str, Any] = {}
    if options.precision:
        header["precision"] = options.precision
    if not options.json:
        print("\n".join(_head(header)), flush=True)
    for name, config in configs.items():
        more = ["--trainer.precision", options.precision] if options.precision else []
        more += LIKE_SCIKIT_LEARN if name == "rbm" else []
        found[name] = {**measure_epochs(config, options.rounds, more), **measure_runs(config, options.whole, more)}
        if not options.json:
            print(_row(name, found[name]), flush=True)
    if options.json:
        print(json.dumps({**header, "members": found}, indent=1))
    return 0


def measure_epochs(config: Path, rounds: int, more: Sequence[str] = ()) -> dict[str, Any]:
    """Return the seconds of each epoch by program, and of the start until the first step.

    Args:
        config: The member's YAML.
        rounds: Epochs that are measured.
        more: Arguments of ``zoo fit``.
    """
    from zoo.benchmark.interleaved import STARTED
    from zoo.benchmark.processes import run_program

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "measured.json")
        callback = {
            "class_path": "zoo.benchmark.interleaved.Interleaved",
            "init_args": {"output": str(output), "config": str(config)},
        }
        run_program(
            [*_fit(config, folder, rounds + 1), *more, "--trainer.callbacks", json.dumps(callback)],
            {STARTED: str(time.time())},
        )
        measured: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    # The first epoch pays for what is compiled and allocated once.
    measured["seconds"]["zoo"] = measured["seconds"]["zoo"][1:]
    measured["seconds"] = {name: seconds[-rounds:] for name, seconds in measured["seconds"].items()}
    return measured


def measure_runs(config: Path, whole: int, more: Sequence[str] = ()) -> dict[str, Any]:
    """Return the seconds and the peak memory of a run of one epoch, and, if asked for, of whole ones.

    Args:
        config: The member's YAML.
        whole: How many of all epochs to measure.
        more: Arguments of ``zoo fit``.
    """
    import yaml

    from zoo.benchmark.eager import described_network
    from zoo.benchmark.processes import run_program
    from zoo.data.archives import default_data_dir

    content = yaml.safe_load(config.read_text(encoding="utf-8"))
    script = ["-m", "zoo.benchmark.eager", str(config), "--data_dir", str(default_data_dir())]
    lengths = {"short": (1, 1), **({"whole": (content["trainer"]["max_epochs"], whole)} if whole else {})}
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, (epochs, times) in lengths.items():
            programs = {"zoo": [*_fit(config, folder, epochs), *more]}
            if described_network(content) is not None:
                programs["eager"] = [*script, "--epochs", str(epochs), "--save", f"{folder}/weights.pt"]
            used: dict[str, list[Any]] = {program: [] for program in programs}
            for _ in range(times):
                for program, words in programs.items():
                    used[program].append(run_program(words)._asdict())
            found[name] = {"epochs": epochs, **used}
    return found


def _fit(config: Path, folder: str, epochs: int) -> list[str]:
    fit = ["-m", "zoo", "fit", "--config", str(config), "--trainer.default_root_dir", folder]
    return [*fit, "--trainer.accelerator", "cpu", "--trainer.max_epochs", str(epochs)]


def _head(header: dict[str, Any]) -> list[str]:
    here = header["machine"]
    told = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    return [
        f"{here['processor']}, {here['cores']} cores, {here['threads']} threads; {told}",
        f"zoo fit in {header.get('precision', '32-true')}; seconds per epoch, medians of {header['rounds']} "
        "interleaved epochs (least–most); ratios of medians",
        f"{'':<20} {'zoo fit':>20} {'images/s':>9} {'eager':>20} {'ratio':>6} {'other':>27} {'ratio':>6} "
        f"{'start':>6} {'MiB':>5} {'eager':>5}",
    ]


def _row(name: str, found: dict[str, Any]) -> str:
    seconds = found["seconds"]
    ours = statistics.median(seconds["zoo"])
    text = f"{name:<20} {_spread(seconds['zoo']):>20} {IMAGES / ours:>9,.0f}"
    text += _beside(seconds.get("eager"), ours, "") if "eager" in seconds else f" {'–':>20} {'–':>6}"
    other = next((each for each in OTHERS[1:] if each in seconds), None)
    text += _beside(seconds[other], ours, f"{other} ", 27) if other else f" {'–':>27} {'–':>6}"
    text += f" {found['start']:>5.1f}s {found['short']['zoo'][0]['peak_bytes'] / 2**20:>5.0f}"
    plain = found["short"].get("eager")
    text += f" {plain[0]['peak_bytes'] / 2**20:>5.0f}" if plain else f" {'–':>5}"
    if run := found.get("whole"):
        taken = {program: [each["seconds"] for each in run[program]] for program in ("zoo", "eager") if program in run}
        text += f"\n{'':<20} whole run of {run['epochs']} epochs: {_spread(taken['zoo'])} s"
        if "eager" in taken:
            ratio = statistics.median(taken["zoo"]) / statistics.median(taken["eager"])
            text += f", a short script's {_spread(taken['eager'])} s, ratio {ratio:.2f}"
    return text


def _beside(seconds: Sequence[float], ours: float, label: str, width: int = 20) -> str:
    return f" {label + _spread(seconds):>{width}} {ours / statistics.median(seconds):>6.2f}"


def _spread(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.2f} ({min(seconds):.2f}–{max(seconds):.2f})"


def _more_versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("jax", "scikit-learn"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            print(f"{package} is not installed, so it is not measured: pip install {package}", file=sys.stderr)
    return found
