"""Test error against the number of labels: a pretrained deep belief net (DBN) and the same net without pretraining.

The study has three stages:

1. A DBN is pretrained without labels on all 55,000 training images, once per seed.
2. For each number of labels in `SEEDS`, both nets are tuned on the validation set with seed 0, over the same grid of
   learning rates and dropout.
3. Each net is trained with its best setting and evaluated once on the test set, for several seeds. Each seed draws its
   own subset of the labels.

Each result is written to a CSV file as soon as it is known. An interrupted study continues from there.
"""

from __future__ import annotations

import csv
import itertools
import json
import statistics
from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass, fields
from pathlib import Path
from typing import Any

import torch
from pytorch_lightning import seed_everything

from zoo.callbacks.progress import EpochProgressBar
from zoo.data import MNISTDataModule
from zoo.figures.training import fit, progress
from zoo.figures.writing import FigureWriter
from zoo.metrics.intervals import t_975
from zoo.models import DBN
from zoo.pretrained.evaluation import evaluate
from zoo.pretrained.loading import create_model
from zoo.runs.checkpoint import CLASS_PATH, write_weights
from zoo.utils.console import print_rank_zero
from zoo.utils.environment import versions
from zoo.utils.errors import UsageError
from zoo.utils.files import atomic_path, check_output, display_path, write_bytes
from zoo.utils.pictures import COLORS

KINDS = ("dbn", "control")
SEEDS = {100: 10, 1_000: 10, 10_000: 3, 55_000: 3}
"""Number of labels: number of seeds."""

EPOCHS = {100: 300, 1_000: 100, 10_000: 30, 55_000: 30}
"""Number of labels: epochs of fine-tuning. With batches of 100 these are 300, 1,000, 3,000 and 16,500 steps."""

LEARNING_RATES = (0.0003, 0.001, 0.003, 0.01)
DROPOUTS = (0.0, 0.5)
"""Dropout rates of the hidden units. With a rate above 0, the pixels have dropout at a rate of 0.2."""

STUDY_MARKER = '"pytorch-lightning": '
"""The text by which the record of a study's settings and package versions is known."""
ROWS_MARKER = "labels,kind,"
"""The begin of the header line of trials and results, by which they are known."""


@dataclass(frozen=True)
class Trial:
    """The validation errors of a setting, with seed 0."""

    labels: int
    kind: str
    lr: float
    dropout: float
    validation_errors: int


@dataclass(frozen=True)
class Result:
    """The test errors of a trained net."""

    labels: int
    kind: str
    seed: int
    lr: float
    dropout: float
    test_errors: int


def draw(writer: FigureWriter) -> None:
    """Run the missing parts of the study, print the table of results and draw the figure.

    Args:
        writer: Writes the files ``few_labels``. A folder of the same name holds the trials, the results and the
            pretrained nets.

    Raises:
        UsageError: A file cannot be read or written, or the folder holds a study with other settings or package
            versions.
    """
    folder = writer.folder / "few_labels"
    _check_outputs(folder)
    _check_same_study(folder)
    trials: list[Trial] = _read_rows(folder / "tried.csv", Trial)
    results: list[Result] = _read_rows(folder / "results.csv", Result)
    settings = itertools.product(SEEDS, KINDS, LEARNING_RATES, DROPOUTS)
    tried = {(trial.labels, trial.kind, trial.lr, trial.dropout) for trial in trials}
    for labels, kind, lr, dropout in progress([setting for setting in settings if setting not in tried], "Tuning"):
        model, data = _train(folder, kind, labels, 0, lr, dropout)
        trials.append(Trial(labels, kind, lr, dropout, _count_errors(model, data.val_dataloader())))
        _write_rows(folder / "tried.csv", trials)
    tested = {(result.labels, result.kind, result.seed) for result in results}
    runs = [(n, kind, seed) for n, seeds in SEEDS.items() for kind in KINDS for seed in range(seeds)]
    for labels, kind, seed in progress([run for run in runs if run not in tested], "Testing"):
        candidates = [trial for trial in trials if (trial.labels, trial.kind) == (labels, kind)]
        best = min(candidates, key=lambda trial: trial.validation_errors)
        model, data = _train(folder, kind, labels, seed, best.lr, best.dropout)
        results.append(Result(labels, kind, seed, best.lr, best.dropout, _count_errors(model, data.test_dataloader())))
        _write_rows(folder / "results.csv", results)
    print(table(results))
    _draw(writer, results)


def table(results: Sequence[Result]) -> str:
    """Return a Markdown table of the test errors in percent, mean ± standard deviation, and the gain by pretraining."""
    lines = [
        "| labels | n | pre-trained | not pre-trained | gain in points |",
        "| --- | --- | --- | --- | --- |",
    ]
    for labels in sorted({result.labels for result in results}):
        rates = {kind: _error_rates(results, labels, kind) for kind in KINDS}
        cells = [f"{statistics.fmean(errors):.2f} ± {_standard_deviation(errors):.2f} %" for errors in rates.values()]
        gain = statistics.fmean(rates["control"]) - statistics.fmean(rates["dbn"])
        lines.append(f"| {labels:,} | {len(rates['dbn'])} | {cells[0]} | {cells[1]} | {gain:+.2f} |")
    return "\n".join(lines)


def _check_outputs(folder: Path) -> None:
    """Check that all files of the study can be written.

    Raises:
        UsageError: As for `check_output`.
    """
    check_output(folder / "study.json", STUDY_MARKER)
    check_output(folder / "tried.csv", ROWS_MARKER)
    check_output(folder / "results.csv", ROWS_MARKER)
    for seed in range(max(SEEDS.values())):
        check_output(folder / f"pretrained-{seed}.ckpt", CLASS_PATH)


def _check_same_study(folder: Path) -> None:
    """Check that the settings and package versions are those recorded in ``study.json``; record them in a new study.

    Raises:
        UsageError: They differ, so old and new results must not be combined, or the record cannot be read.
    """
    settings = (LEARNING_RATES, DROPOUTS, EPOCHS)
    current = json.dumps([dict(create_model("dbn").hparams), *settings, versions()], indent=1, sort_keys=True)
    path = folder / "study.json"
    if not path.is_file() and not (folder / "tried.csv").exists():
        write_bytes(path, current.encode(), STUDY_MARKER)
    try:
        recorded = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        recorded = ""
    if recorded != current:
        raise UsageError(f"{display_path(folder)} is of another recipe or other versions: move it away to begin anew.")


def _train(folder: Path, kind: str, labels: int, seed: int, lr: float, dropout: float) -> tuple[DBN, MNISTDataModule]:
    """Fine-tune a net, and return it with its data.

    ``kind`` is one of `KINDS`: ``"dbn"`` starts from the pretrained layers, ``"control"`` from Xavier weights.
    """
    seed_everything(seed, verbose=False)
    data = MNISTDataModule(num_train=labels, seed=seed, subset_seed=seed)
    data.prepare_data()
    data.setup()
    arguments: dict[str, Any] = {"lr": lr, "dropout": dropout, "input_dropout": 0.2 if dropout else 0.0}
    hparams = create_model("dbn").hparams
    model = DBN(**{**hparams, **arguments, "pretrain_epochs": 0, "weight_init": "xavier_uniform"})
    if kind == "dbn":
        pretrained = _load_or_pretrain(folder / f"pretrained-{seed}.ckpt", seed)
        for layer, source in zip(model.rbms, pretrained.rbms, strict=True):
            layer.load_state_dict(source.state_dict())
    fit(model, data, EPOCHS[labels], limit_val_batches=0)
    return model, data


def _load_or_pretrain(path: Path, seed: int) -> DBN:
    """Return the net of the config ``dbn``, pretrained on all images. Read it from ``path`` if the file exists."""
    # Fine-tuning must draw the same random numbers whether the net is pretrained here or read from the file.
    with torch.random.fork_rng(devices=[]):
        if path.is_file():
            return DBN.load_from_checkpoint(path)
        print_rank_zero(f"Pre-training with seed {seed}:")
        seed_everything(seed, verbose=False)
        model = create_model("dbn")
        assert isinstance(model, DBN)
        data = MNISTDataModule(seed=seed)
        data.prepare_data()
        fit(model, data, model.unlabelled_epochs(), EpochProgressBar())
        write_weights(model, dict(model.hparams), path)
        return model


def _draw(writer: FigureWriter, results: Sequence[Result]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for kind, name, color in zip(KINDS, ("pre-trained (DBN)", "not pre-trained"), COLORS, strict=False):
        labels = sorted({result.labels for result in results if result.kind == kind})
        rates = [_error_rates(results, count, kind) for count in labels]
        means = [statistics.fmean(errors) for errors in rates]
        half_widths = [_half_width(errors) for errors in rates]
        axes.errorbar(labels, means, yerr=half_widths, label=name, color=color, marker="o", capsize=3)
    axes.set(xscale="log", yscale="log", xlabel="labels used in fine-tuning, and n seeds", ylabel="test error in %")
    axes.set_title("784-500-500-2000-10: mean over seeds, 95 % interval of the mean", fontsize=10)
    axes.grid(color="0.9")
    counts = {result.labels: len(_error_rates(results, result.labels, result.kind)) for result in results}
    axes.set_xticks(list(counts), [f"{labels:,}\nn = {count}" for labels, count in counts.items()])
    axes.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    writer.write(figure, [field.name for field in fields(Result)], map(astuple, results), "few_labels")


def _error_rates(results: Sequence[Result], labels: int, kind: str) -> list[float]:
    """Return the test error in percent of each seed, of 10,000 images."""
    return [result.test_errors / 100 for result in results if (result.labels, result.kind) == (labels, kind)]


def _standard_deviation(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _half_width(values: Sequence[float]) -> float:
    """Return half the width of the 95 % confidence interval of the mean, by Student's t. It is 0 for a single value."""
    return t_975(len(values) - 1) * _standard_deviation(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _count_errors(model: DBN, batches: Any) -> int:
    return evaluate(model, batches).errors


def _read_rows(path: Path, row_type: type) -> list[Any]:
    """Read a CSV file into dataclass instances. A missing file has no rows."""
    if not path.is_file():
        return []
    field_types = {"int": int, "float": float, "str": str}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                row_type(**{field.name: field_types[str(field.type)](row[field.name]) for field in fields(row_type)})
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise UsageError(f"{display_path(path)} is damaged ({error}): remove it to begin anew.") from error


def _write_rows(path: Path, rows: Sequence[Any]) -> None:
    """Write dataclass instances to a CSV file."""
    with atomic_path(path, ROWS_MARKER) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        table_writer = csv.DictWriter(file, [field.name for field in fields(rows[0])])
        table_writer.writeheader()
        table_writer.writerows(map(asdict, rows))
