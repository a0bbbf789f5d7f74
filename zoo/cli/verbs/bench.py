"""``zoo bench``: training speed of members compared with baselines."""

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
from zoo.cli.signals import raise_if_received
from zoo.pretrained.registry import model_info
from zoo.utils.errors import UsageError
from zoo.utils.wording import install_extra

DEFAULT_MEMBERS = ("softmax", "deep_relu_xavier", "deeper_relu_xavier", "dropout_batchnorm")
TRAINING_IMAGES = 60_000
"""Training images per epoch, without those that a config takes for validation."""
SCIKIT_LEARN_RBM_OPTIONS = ["--model.persistent", "false", "--model.sample_pixels", "false", "--model.centred", "false"]
"""Options of ``zoo fit`` with which an RBM update is the same work as scikit-learn's: five matrix products."""


def run(verb: str, arguments: list[str]) -> int:
    """Print the measurements and return the exit status."""
    parser = ShortErrorParser(
        prog="zoo bench",
        description="Measure how long an epoch of `zoo fit` takes: its steps, validation, lines, logs and checkpoint. "
        "The baselines are the same network in a loop written by hand (eager), on a CPU also with denormal numbers "
        "flushed as `zoo fit` does, for an ensemble as many single networks, and, where they are installed, JAX with "
        "the epoch as one compiled scan, and scikit-learn's RBM. Epochs are interleaved, medians shown, least and most "
        "in brackets. Nothing else should run meanwhile.",
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"members, or rbm (default: {' '.join(DEFAULT_MEMBERS)})"
    )
    parser.add_argument("--rounds", type=int, default=5, help="epochs that are measured, after one that is not")
    parser.add_argument(
        "--whole",
        type=int,
        default=0,
        metavar="RUNS",
        help="also so many whole runs with the seeds 0, 1, 2, …, in turn with those of a short PyTorch script: their "
        "seconds and their test errors (default: %(default)s)",
    )
    parser.add_argument(
        "--precision",
        choices=("32-true", "64-true", "bf16-mixed"),
        help="of `zoo fit`, as trainer.precision has it; the baselines stay in single",
    )
    parser.add_argument("--num_members", type=int, metavar="K", help="networks in an ensemble (default: as published)")
    parser.add_argument("--accelerator", choices=("cpu", "gpu"), default="cpu", help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print every measurement as JSON")
    options = parser.parse_args(arguments)
    names = options.names or list(DEFAULT_MEMBERS)
    configs = {name: model_info(name).config for name in names}
    for option, least in (("rounds", 1), ("whole", 0)):
        if not least <= (value := getattr(options, option)) <= 100:
            raise UsageError(f"--{option} is {value}, but it must be {least} to 100.")

    import torch

    from zoo.utils.environment import device_name, machine, versions

    if options.accelerator == "gpu" and not torch.cuda.is_available():
        raise UsageError("torch sees no NVIDIA GPU here: leave out --accelerator gpu to measure on the CPU.")
    header = {"versions": {**versions(), **_baseline_versions(names)}, "machine": machine(), "rounds": options.rounds}
    header["device"] = device_name(torch.device("cuda" if options.accelerator == "gpu" else "cpu"))
    measurements: dict[str, Any] = {}
    if options.precision:
        header["precision"] = options.precision
    if not options.json:
        print("\n".join(_header_lines(header)), flush=True)
    for name, config in configs.items():
        raise_if_received()
        fit_arguments = ["--trainer.accelerator", options.accelerator, "--trainer.devices", "1"]
        fit_arguments += ["--trainer.precision", options.precision] if options.precision else []
        if options.num_members and name == "bagging":
            fit_arguments += ["--model.num_members", str(options.num_members)]
        fit_arguments += SCIKIT_LEARN_RBM_OPTIONS if name == "rbm" else []
        epochs = measure_epochs(config, options.rounds, fit_arguments)
        # The script trains on a CPU, so on a GPU there is nothing to set whole runs against.
        runs = measure_runs(config, options.whole, fit_arguments) if options.accelerator == "cpu" else {}
        measurements[name] = {**epochs, **runs}
        if not options.json:
            print(_row(name, measurements[name]), flush=True)
    if options.json:
        print(json.dumps({**header, "members": measurements}, indent=1))
    return 0


def measure_epochs(config: Path, rounds: int, fit_arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Measure the time of each epoch by program, and the startup time until the first step.

    Args:
        config: The member's YAML.
        rounds: Number of epochs to measure.
        fit_arguments: Additional arguments of ``zoo fit``.

    Returns:
        ``seconds``, a list of epoch times for each program, and ``start``, the startup time in seconds.
    """
    from zoo.benchmark.interleaved import START_TIME_VARIABLE
    from zoo.benchmark.processes import run_program

    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder, "measured.json")
        callback = {
            "class_path": "zoo.benchmark.interleaved.InterleavedBenchmark",
            "init_args": {"output": str(output), "config": str(config)},
        }
        run_program(
            [*_fit_command(config, folder, rounds + 1), *fit_arguments, "--trainer.callbacks", json.dumps(callback)],
            {START_TIME_VARIABLE: str(time.time())},
        )
        measured: dict[str, Any] = json.loads(output.read_text(encoding="utf-8"))
    # The first epoch includes one-time compilation and memory allocation.
    measured["seconds"]["zoo"] = measured["seconds"]["zoo"][1:]
    measured["seconds"] = {name: seconds[-rounds:] for name, seconds in measured["seconds"].items()}
    measured["images"] = TRAINING_IMAGES - _data_arguments(config).get("val_size", 5000)
    return measured


def measure_runs(config: Path, full_runs: int, fit_arguments: Sequence[str] = ()) -> dict[str, Any]:
    """Measure the time and peak memory of a run of one epoch and, optionally, of full runs.

    Args:
        config: The member's YAML.
        full_runs: Number of full runs to measure.
        fit_arguments: Additional arguments of ``zoo fit``.

    Returns:
        ``short`` and, if requested, ``whole``. Each has ``epochs`` and, for each program, the measured runs. Those of
        ``whole`` also have the ``seed``, the ``training_seconds``, from the images in memory to the end of the last
        epoch, and the ``test_errors``.
    """
    from zoo.benchmark.eager import network_from_config
    from zoo.benchmark.processes import run_program
    from zoo.callbacks.metrics_file import METRICS_FILE_VARIABLE
    from zoo.data.archives import write_for_torchvision

    content = _content(config)
    lengths = {"short": (1, 1), **({"whole": (content["trainer"]["max_epochs"], full_runs)} if full_runs else {})}
    measured: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        write_for_torchvision(Path(folder))
        script = ["-m", "zoo.benchmark.eager", str(config), "--data_dir", folder]
        for name, (epochs, repetitions) in lengths.items():
            programs = {"zoo": [*_fit_command(config, folder, epochs), *fit_arguments]}
            if network_from_config(content) is not None:
                programs["eager"] = [*script, "--epochs", str(epochs), "--save", f"{folder}/weights.pt"]
            usage: dict[str, list[Any]] = {program: [] for program in programs}
            for seed in range(repetitions):
                for program, command in programs.items():
                    raise_if_received()
                    metrics = Path(folder, f"{name}-{program}-{seed}.json")
                    own = ["--seed_everything"] if program == "zoo" else ["--metrics", str(metrics), "--seed"]
                    run = run_program([*command, *own, str(seed)], {METRICS_FILE_VARIABLE: str(metrics)})
                    usage[program].append({**run._asdict(), **(_results(metrics, seed) if name == "whole" else {})})
            measured[name] = {"epochs": epochs, **usage}
    return measured


def _fit_command(config: Path, folder: str, epochs: int) -> list[str]:
    fit = ["-m", "zoo", "fit", "--config", str(config), "--trainer.default_root_dir", folder]
    return [*fit, "--trainer.max_epochs", str(epochs)]


def _content(config: Path) -> dict[str, Any]:
    import yaml

    content: dict[str, Any] = yaml.safe_load(config.read_text(encoding="utf-8"))
    return content


def _data_arguments(config: Path) -> dict[str, Any]:
    arguments: dict[str, Any] = _content(config).get("data", {}).get("init_args", {})
    return arguments


def _results(metrics: Path, seed: int) -> dict[str, Any]:
    """Return what a program has written of a whole run."""
    found: dict[str, Any] = {}
    for line in metrics.read_text(encoding="utf-8").splitlines():
        found |= json.loads(line)
    return {"seed": seed, "training_seconds": found["seconds"], "test_errors": int(found["test_errors"])}


def _header_lines(header: dict[str, Any]) -> list[str]:
    machine = header["machine"]
    packages = ", ".join(f"{name} {version}" for name, version in header["versions"].items())
    return [
        f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads; {packages}",
        f"zoo fit on {header['device']} in {header.get('precision', '32-true')}; seconds per epoch, medians of "
        f"{header['rounds']} interleaved epochs (least–most); ratios of zoo fit's median to the baseline's",
    ]


def _row(name: str, measured: dict[str, Any]) -> str:
    seconds = dict(measured["seconds"])
    own = seconds.pop("zoo")
    lines = [
        f"{name:<20} {'zoo fit':<16} {_median_and_range(own):>22}         "
        f"{measured['images'] / statistics.median(own):,.0f} images/s, start {measured['start']:.1f} s"
    ]
    lines += [f"{'':<20} {_comparison(baseline, own, times)}" for baseline, times in seconds.items()]
    if run := measured.get("short"):
        peaks = {name: run[name][0]["peak_bytes"] / 2**20 for name in ("zoo", "eager") if name in run}
        memory = f"{'':<20} peak memory of a run: {peaks['zoo']:,.0f} MiB"
        if "eager" in peaks:
            memory += f", a short script's {peaks['eager']:,.0f} MiB, ratio {peaks['zoo'] / peaks['eager']:.2f}"
        lines.append(memory)
    if run := measured.get("whole"):
        times = {program: [each["seconds"] for each in run[program]] for program in ("zoo", "eager") if program in run}
        lines.append(f"{'':<20} whole run of {run['epochs']} epochs: {_median_and_range(times['zoo'])} s")
        if "eager" in times:
            lines.append(f"{'':<20} {_comparison('a short script', times['zoo'], times['eager'])}")
        lines += [f"{'':<20} {_accuracy(program, run[program])}" for program in times]
    return "\n".join(lines)


def _comparison(baseline: str, own: Sequence[float], times: Sequence[float]) -> str:
    ratio = statistics.median(own) / statistics.median(times)
    return f"{baseline:<16} {_median_and_range(times):>22}  ratio {ratio:.2f}"


def _accuracy(program: str, runs: Sequence[dict[str, Any]]) -> str:
    errors = [each["test_errors"] for each in runs]
    deviation = f" ± {statistics.stdev(errors):.1f}" if len(errors) > 1 else ""
    name = "zoo fit" if program == "zoo" else "a short script"
    seconds = _median_and_range([each["training_seconds"] for each in runs])
    return f"{name:<16} {statistics.fmean(errors):.1f}{deviation} test errors, n = {len(errors)}, training {seconds} s"


def _median_and_range(seconds: Sequence[float]) -> str:
    return f"{statistics.median(seconds):.3f} ({min(seconds):.3f}–{max(seconds):.3f})"


def _baseline_versions(names: Sequence[str]) -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    installed = {}
    for package in ("jax", "scikit-learn"):
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            # The RBM has scikit-learn's for its baseline, and the other members have JAX.
            if (package == "scikit-learn") in {name == "rbm" for name in names}:
                print(f"{package} is not installed, so it is not measured: {install_extra('bench')}.", file=sys.stderr)
    return installed
