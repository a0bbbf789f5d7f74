"""Write the tables of the README and of the pages in this folder.

Usage::

    python -m docs.generate            # write the tables anew
    python -m docs.generate --check    # exit with status 1 if a table is not up to date

A page says ``<!-- generated: NAME -->`` where a table begins and ``<!-- end -->`` where it ends. The name of a table in
Korean ends in ``-ko``. The numbers come from ``checkpoints/index.json`` and from the files in ``docs/data``, which the
command that a table names has written.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import statistics
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from docs.korean import korean
from zoo.cli import VERBS
from zoo.cli.member_tables import (
    elsewhere_table,
    mean_and_deviation,
    published_table,
    runs_table,
    training_time,
)
from zoo.cli.member_tables import markdown_table as table
from zoo.pretrained.registry import ModelInfo, list_models, model_info, table_path
from zoo.pretrained.run_tables import read_table, short_processor

SOURCE = Path(__file__).parent.parent
DATA = Path(__file__).parent / "data"
PAGES = [SOURCE / "README.md", *sorted(Path(__file__).parent.glob("*.md"))]
KOREAN = "-ko"
"""How the name of a block ends that is to be in Korean."""
BLOCK = re.compile(r"(<!-- generated: ([\w-]+) -->\n).*?(<!-- end -->)", re.DOTALL)


def _gpu(name: str, hardware: str) -> str:
    """Return the GPU on which a member's runs were trained, after a comma; nothing if it was a processor."""
    devices = {run.hardware: str(run.machine["device"]) for run in read_table(table_path(name))}
    return "" if devices[hardware].startswith("CPU") else f", {devices[hardware]}"


def members_short() -> str:
    """The README's table of the members."""
    slides = _slides()
    rows = []
    for member in _by_accuracy():
        metrics = member.metrics
        assert metrics is not None
        count, images = len(metrics["runs"]), metrics["test_images"]
        rows.append(
            [
                f"`{member.name}`: {member.description}",
                f"{1 - metrics['errors_mean'] / images:.4f} ± {(metrics['errors_sd'] or 0) / images:.4f}, n = {count}",
                f"{1 - metrics['test_errors'] / images:.4f}",
                f"{metrics['parameters']:,}",
                training_time(metrics) + _gpu(member.name, metrics["runs_on"]),
                slides.get(member.name, "–"),
            ]
        )
    return table(["member", "accuracy of the recipe", "of the network", "parameters", "training", "slide"], rows)


def first_run() -> str:
    """What another machine may print in place of the README's first sample output."""
    member = model_info("deep_relu_xavier")
    metrics = member.metrics
    assert metrics is not None
    low, high = metrics["one_more_run"]
    errors = [run["test_errors"] for run in metrics["runs"]]
    return textwrap.fill(
        "Your numbers will differ: rounding depends on the processor, which has as much effect as another seed. Expect "
        f"{low:,} to {high:,} test errors (95 % prediction interval for one more run). It is computed from "
        f"{len(errors)} runs on an {short_processor(metrics['runs_on'])}, which made {mean_and_deviation(metrics)} "
        f"errors, at least {min(errors):,} and at most {max(errors):,}.",
        120,
    )


def bench(name: str, baselines: dict[str, str], caption: str) -> str:
    """The times of an epoch, from the output of ``zoo bench --json``.

    Args:
        name: The file in ``docs/data``.
        baselines: The baselines and their headings.
        caption: The command, which stands above the table.
    """
    measured = json.loads((DATA / name).read_text(encoding="utf-8"))
    header = ["member", "`zoo fit`"]
    for heading in baselines.values():
        header += [heading, "ratio"]
    rows = []
    for member, content in measured["members"].items():
        own = content["seconds"]["zoo"]
        row = [f"`{member}`", spread(own)]
        for baseline in baselines:
            times = content["seconds"][baseline]
            row += [spread(times), f"{statistics.median(own) / statistics.median(times):.2f}"]
        rows.append(row)
    return f"{caption} ({machine(measured)}):\n\n{table(header, rows)}"


def bench_cpu(name: str) -> str:
    """The times of an epoch on a CPU."""
    baselines = {"eager": "by hand", "eager, flushed": "by hand, flushed", "jax": "JAX"}
    return bench(name, baselines, "`zoo bench --rounds 7 --whole 3`")


def bench_whole(name: str) -> str:
    """The times and peak memory of whole runs."""
    measured = json.loads((DATA / name).read_text(encoding="utf-8"))
    rows = []
    for member, content in measured["members"].items():
        whole, short = content["whole"], content["short"]
        own, script = ([each["seconds"] for each in whole[program]] for program in ("zoo", "eager"))
        memory = [short[program][0]["peak_bytes"] / 2**20 for program in ("zoo", "eager")]
        rows.append(
            [
                *(f"`{member}`", str(whole["epochs"]), spread(own, 1), spread(script, 1)),
                f"{statistics.median(own) / statistics.median(script):.2f}",
                f"{memory[0]:,.0f}, ratio {memory[0] / memory[1]:.2f}",
            ]
        )
    return table(["member", "epochs", "`zoo fit`", "script", "ratio", "peak memory in MiB"], rows)


def few_labels() -> str:
    """Test errors with few labels, pretrained and not, from the study's file."""
    with (DATA / "few_labels.csv").open(newline="", encoding="utf-8") as file:
        runs = list(csv.DictReader(line for line in file if not line.startswith("#")))
    rows = []
    for labels in dict.fromkeys(run["labels"] for run in runs):
        pretrained, control = (
            [int(run["test_errors"]) / 100 for run in runs if (run["labels"], run["kind"]) == (labels, kind)]
            for kind in ("dbn", "control")
        )
        gain = statistics.fmean(control) - statistics.fmean(pretrained)
        rows.append(
            [
                *(f"{int(labels):,}", str(len(pretrained))),
                *(f"{statistics.fmean(each):.2f} ± {statistics.stdev(each):.2f}" for each in (pretrained, control)),
                f"{gain:.2f}",
            ]
        )
    return table(["labels", "n", "pretrained", "not pretrained", "gain in points"], rows)


def tuning(name: str) -> str:
    """Validation errors of what was tried for a member, the config as it is first."""
    lines = (DATA / f"tuning_{name}.csv").read_text(encoding="utf-8").splitlines()
    tried = list(csv.DictReader(line for line in lines if not line.startswith("#")))
    rows = []
    for row in tried:
        errors = f"{row['val_errors_mean']} ± {row['val_errors_sd']}" if row["val_errors_sd"] else row["val_errors"]
        settings = f"`{row['settings'].replace('--', '')}`" if row["settings"] else "as in the config"
        rows.append([settings, row["seeds"], errors])
    caption = f"`{lines[0].removeprefix('# ')}`, {_hardware(tried[0])}"
    others = [row for row in tried if _hardware(row) != _hardware(tried[0])]
    if others:
        named = ", ".join(f"`{row['settings'].replace('--', '')}`: {_hardware(row)}" for row in others)
        caption += f" ({named})"
    return f"{caption}:\n\n{table(['changed setting', 'n', 'validation errors'], rows)}"


def _hardware(row: dict[str, str]) -> str:
    threads = row["device"].removeprefix("CPU with ")
    return f"{threads} on a processor {row['processor']}" if threads != row["device"] else row["device"]


def bench_accuracy(name: str) -> str:
    """Training time against accuracy, from the whole runs in the output of ``zoo bench --whole N --json``."""
    measured = json.loads((DATA / name).read_text(encoding="utf-8"))
    rows = []
    for member, content in measured["members"].items():
        for program, heading in {"zoo": "`zoo fit`", "eager": "script"}.items():
            if not (runs := content["whole"].get(program)):
                continue
            errors = [run["test_errors"] for run in runs]
            deviation = f" ± {statistics.stdev(errors) / 100:.2f}" if len(errors) > 1 else ""
            rows.append(
                [
                    *(f"`{member}`", heading, str(content["whole"]["epochs"]), str(len(runs))),
                    spread([run["training_seconds"] for run in runs], 2),
                    spread([run["seconds"] for run in runs], 1),
                    f"{100 - statistics.fmean(errors) / 100:.2f}{deviation}",
                ]
            )
    header = ["member", "program", "epochs", "n", "seconds of training", "seconds of the whole run", "test accuracy, %"]
    command = f"zoo bench {' '.join(measured['members'])} --whole {rows[0][3]}"
    return f"`{command}` ({machine(measured)}):\n\n{table(header, rows)}"


def reading() -> str:
    """How many pictures are read right, by their kind."""
    measured = json.loads((DATA / "reading.json").read_text(encoding="utf-8"))
    rows = []
    for name, counts in measured["results"].items():
        pictures, right, noted = (sum(each[key] for each in counts.values()) for key in ("pictures", "right", "noted"))
        # The hardest first.
        kinds = sorted(counts.items(), key=lambda item: item[1]["right"] / item[1]["pictures"])
        missed = [
            f"{kind} {each['right']}/{each['pictures']}" for kind, each in kinds if each["right"] < each["pictures"]
        ]
        rows.append([name, str(pictures), str(right), f"{noted} of {pictures - right}", ", ".join(missed)])
    header = ["pictures", "n", "right", "others with a note", "kinds with errors"]
    return f"{where(measured)}:\n\n{table(header, rows)}"


def no_digit() -> str:
    """How many pictures are taken for no digit, by their kind."""
    measured = json.loads((DATA / "no_digit.json").read_text(encoding="utf-8"))
    rows = [
        [kind, f"{each['pictures']:,}", f"{100 * (each['refused'] + each['doubted']) / each['pictures']:.1f}"]
        for kind, each in measured["results"].items()
    ]
    return f"{where(measured)}:\n\n{table(['pictures', 'n', 'taken for no digit, %'], rows)}"


def onnx_errors() -> str:
    """The test errors of each member as ONNX, the most accurate first."""
    measured = json.loads((DATA / "onnx.json").read_text(encoding="utf-8"))
    columns = ("zoo", "float32", "float16", "int8")
    rows = [
        [f"`{member.name}`", *(f"{measured['errors'][member.name][column]:,}" for column in columns)]
        for member in _by_accuracy()
    ]
    packages = ", ".join(f"{name} {measured['versions'][name]}" for name in ("torch", "onnxruntime"))
    header = table(["member", "zoo", "ONNX, float32", "float16", "int8"], rows)
    return f"{where(measured)}, {packages} (`python -m docs.onnx_errors`):\n\n{header}"


def onnx_speed() -> str:
    """How long each member takes in PyTorch and in onnxruntime, for one image and for a hundred."""
    measured = json.loads((DATA / "onnx_speed.json").read_text(encoding="utf-8"))
    rows = []
    for member in _by_accuracy():
        row = [f"`{member.name}`"]
        for times in measured["milliseconds"][member.name].values():
            row += [f"{times['torch']:.2f}", f"{times['float32']:.2f}", f"{times['int8']:.2f}"]
            row.append(f"{times['float32'] / times['torch']:.2f}")
        rows.append(row)
    columns = ("PyTorch, ms", "ONNX, ms", "int8, ms", "ONNX / PyTorch")
    header = ["member", *(f"{images}: {column}" for images in ("1", "100") for column in columns)]
    packages = ", ".join(f"{name} {measured['versions'][name]}" for name in ("torch", "onnxruntime"))
    return f"{where(measured)}, {packages} (`python -m docs.onnx_speed`):\n\n{table(header, rows)}"


def exported_reading() -> str:
    """How many pictures are read right after the exported preprocessing, with and without OpenCV."""
    exported = json.loads((DATA / "onnx.json").read_text(encoding="utf-8"))["reading"]
    own = json.loads((DATA / "reading.json").read_text(encoding="utf-8"))["results"]
    rows = []
    for name, counts in exported.items():
        right = sum(each["right"] for each in own[name].values())
        rows.append([name, str(counts["pictures"]), str(right), str(counts["right"])])
    return table(["pictures", "n", "right with OpenCV", "right without OpenCV"], rows)


def figure_seconds() -> str:
    """How long each figure takes."""
    measured = json.loads((DATA / "figure_seconds.json").read_text(encoding="utf-8"))
    rows = [[f"`zoo figures {name}`", duration(seconds)] for name, seconds in measured["seconds"].items()]
    caption = f"{where(measured)}, beside other work"
    return f"{caption} (`python -m docs.time_figures FOLDER`):\n\n{table(['figure', 'time'], rows)}"


def commands() -> str:
    """The verbs of the command line."""
    return table(["command", "does"], [[f"`zoo {verb}`", purpose] for verb, (_, purpose) in VERBS.items()])


BLOCKS: dict[str, Callable[[], str]] = {
    "commands": commands,
    "first-run": first_run,
    "members-elsewhere": lambda: elsewhere_table(_by_accuracy()),
    "members-published": lambda: published_table(_by_accuracy()),
    "members-runs": lambda: runs_table(_by_accuracy()),
    "members-short": members_short,
    "bench-cpu": lambda: bench_cpu("bench_cpu.json"),
    "bench-cpu-amd": lambda: bench_cpu("bench_cpu_amd.json"),
    "bench-cpu-whole": lambda: bench_whole("bench_cpu.json"),
    "bench-cpu-amd-whole": lambda: bench_whole("bench_cpu_amd.json"),
    "bench-gpu": lambda: bench(
        "bench_gpu.json", {"eager": "by hand", "jax": "JAX"}, "`zoo bench --accelerator gpu --rounds 5`"
    ),
    "exported-reading": exported_reading,
    "few-labels": few_labels,
    "figure-seconds": figure_seconds,
    "no-digit": no_digit,
    "onnx-errors": onnx_errors,
    "onnx-speed": onnx_speed,
    "reading": reading,
    "tuning-accurate-cnn": lambda: tuning("accurate_cnn"),
    "tuning-dbn": lambda: tuning("dbn"),
    "tuning-fast-cnn": lambda: tuning("fast_cnn"),
    "tuning-vat": lambda: tuning("vat"),
    "bench-accuracy": lambda: bench_accuracy("bench_accuracy.json"),
}


def spread(seconds: Sequence[float], digits: int = 3) -> str:
    """Return the median with the least and the most."""
    return f"{statistics.median(seconds):.{digits}f} ({min(seconds):.{digits}f}–{max(seconds):.{digits}f})"


def where(measured: dict[str, Any]) -> str:
    """Return the beginning of a sentence that says with how many threads, and on which processor."""
    hardware = measured["machine"]
    threads = f"{hardware['threads']} thread{'s' * (hardware['threads'] > 1)}"
    return f"With {threads} on a processor {hardware['processor']}"


def duration(seconds: float) -> str:
    """Return seconds, or minutes from one minute on."""
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"


def machine(measured: dict[str, Any]) -> str:
    """Return on what a measurement was made."""
    hardware, versions = measured["machine"], measured["versions"]
    named = ("python", "torch", "pytorch-lightning", "jax")
    packages = ", ".join(f"{name} {versions[name]}" for name in named if name in versions)
    device = "" if str(measured["device"]).startswith("CPU") else f"{measured['device']}, "
    return f"{device}{hardware['cores']} cores of an {hardware['processor']}, {packages}"


def generated(page: str) -> str:
    """Return a page with its tables written anew."""
    return BLOCK.sub(lambda found: f"{found[1]}{_block(found[2])}\n{found[3]}", page)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    old = []
    for path in PAGES:
        before = path.read_text(encoding="utf-8")
        if (after := generated(before)) != before:
            old.append(path)
            if not options.check:
                path.write_text(after, encoding="utf-8")
    for path in old:
        print(f"{path.relative_to(SOURCE)} {'is not up to date' if options.check else 'was written'}")
    return 1 if options.check and old else 0


def _block(name: str) -> str:
    english = name.removesuffix(KOREAN)
    return BLOCKS[name]() if english == name else korean(BLOCKS[english]())


def _by_accuracy() -> list[ModelInfo]:
    infos = [model_info(name) for name in list_models(pretrained=True)]
    return sorted(infos, key=lambda info: info.metrics["errors_mean"] if info.metrics else 0)


def _slides() -> dict[str, str]:
    """Return the slide of each member, from the table of slides: the last one that trains it as it is."""
    page = (SOURCE / "docs" / "teach.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\|([^|]+)\| `zoo fit --config (\w+)` \|$", page, flags=re.MULTILINE)
    return {name: slide.strip() for slide, name in rows}


if __name__ == "__main__":
    sys.exit(main())
