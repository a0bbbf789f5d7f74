"""What pre-training without labels is worth when there are few: a deep belief net against the same net without it.

The whole study: layers pre-trained on all 55,000 images, once for each seed; for each number of labels, all of them
included, both nets tuned alike on the validation set, with seed 0; then as many seeds as said below, each with labels
of its own choice, tested once. Every result is kept in a CSV as soon as it is there, and not made again.
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

from zoo.callbacks.progress import EpochLines
from zoo.data import MNISTDataModule
from zoo.figures.training import fit, progress
from zoo.figures.writing import COLOURS, Sheet
from zoo.metrics.intervals import t_975
from zoo.models import DBN
from zoo.pretrained.evaluation import evaluate
from zoo.pretrained.loading import create_model
from zoo.runs.checkpoint import write_weights
from zoo.utils.console import print_rank_zero
from zoo.utils.environment import versions
from zoo.utils.errors import UsageError
from zoo.utils.files import as_typed, atomic_path, write_bytes

KINDS = ("dbn", "control")
SEEDS = {100: 10, 1_000: 10, 10_000: 3, 55_000: 3}
"""Labels to the number of seeds."""

EPOCHS = {100: 300, 1_000: 100, 10_000: 30, 55_000: 30}
"""Labels to the epochs of fine-tuning, batches of 100: 300, 1,000, 3,000 and 16,500 steps."""

LEARNING_RATES = (0.0003, 0.001, 0.003, 0.01)
DROPOUTS = (0.0, 0.5)
"""Of hidden units; where there is any, 0.2 of the pixels too."""


@dataclass(frozen=True)
class Tried:
    """A setting that was tried on the validation set, with seed 0."""

    labels: int
    kind: str
    lr: float
    dropout: float
    validation_errors: int


@dataclass(frozen=True)
class Result:
    """A net that was tested."""

    labels: int
    kind: str
    seed: int
    lr: float
    dropout: float
    test_errors: int


def draw(sheet: Sheet) -> None:
    """Run what is missing of the study, print its table and draw its curve.

    Args:
        sheet: Where the files go: ``few_labels`` and, with all that was tried and pre-trained, a folder of that name.

    Raises:
        UsageError: A file cannot be read or written, or what is there is of another recipe or of other versions.
    """
    kept = sheet.folder / "few_labels"
    _check_same_study(kept)
    tried: list[Tried] = _read(kept / "tried.csv", Tried)
    results: list[Result] = _read(kept / "results.csv", Result)
    settings = itertools.product(SEEDS, KINDS, LEARNING_RATES, DROPOUTS)
    known = {(one.labels, one.kind, one.lr, one.dropout) for one in tried}
    for labels, kind, lr, dropout in progress([each for each in settings if each not in known], "Tuning"):
        model, data = _train(kept, kind, labels, 0, lr, dropout)
        tried.append(Tried(labels, kind, lr, dropout, _errors(model, data.val_dataloader())))
        _write(kept / "tried.csv", tried)
    done = {(one.labels, one.kind, one.seed) for one in results}
    wanted = [(n, kind, seed) for n, seeds in SEEDS.items() for kind in KINDS for seed in range(seeds)]
    for labels, kind, seed in progress([each for each in wanted if each not in done], "Testing"):
        here = [one for one in tried if (one.labels, one.kind) == (labels, kind)]
        best = min(here, key=lambda one: one.validation_errors)
        model, data = _train(kept, kind, labels, seed, best.lr, best.dropout)
        results.append(Result(labels, kind, seed, best.lr, best.dropout, _errors(model, data.test_dataloader())))
        _write(kept / "results.csv", results)
    print(table(results))
    _draw(sheet, results)


def table(results: Sequence[Result]) -> str:
    """Return mean ± standard deviation of the test error in per cent, and the gain, as Markdown."""
    lines = [
        "| labels | n | pre-trained | not pre-trained | gain in points |",
        "| --- | --- | --- | --- | --- |",
    ]
    for labels in sorted({one.labels for one in results}):
        rates = {kind: _rates(results, labels, kind) for kind in KINDS}
        cells = [f"{statistics.fmean(found):.2f} ± {_sd(found):.2f} %" for found in rates.values()]
        gain = statistics.fmean(rates["control"]) - statistics.fmean(rates["dbn"])
        lines.append(f"| {labels:,} | {len(rates['dbn'])} | {cells[0]} | {cells[1]} | {gain:+.2f} |")
    return "\n".join(lines)


def _check_same_study(folder: Path) -> None:
    """Write what results depend on beside them, or compare the two: none of another recipe may be mixed in."""
    settings = (LEARNING_RATES, DROPOUTS, EPOCHS)
    now = json.dumps([dict(create_model("dbn").hparams), *settings, versions()], indent=1, sort_keys=True)
    path = folder / "study.json"
    if not path.is_file() and not (folder / "tried.csv").exists():
        write_bytes(path, now.encode())
    try:
        found = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        found = ""
    if found != now:
        raise UsageError(f"{as_typed(folder)} is of another recipe or other versions: move it away to begin anew.")


def _train(folder: Path, kind: str, labels: int, seed: int, lr: float, dropout: float) -> tuple[DBN, MNISTDataModule]:
    """Fine-tune a net and return it with the data."""
    seed_everything(seed, verbose=False)
    data = MNISTDataModule(num_train=labels, seed=seed, subset_seed=seed)
    data.prepare_data()
    data.setup()
    arguments: dict[str, Any] = {"lr": lr, "dropout": dropout, "input_dropout": 0.2 if dropout else 0.0}
    whole = create_model("dbn").hparams
    model = DBN(**{**whole, **arguments, "pretrain_epochs": 0, "weight_init": "xavier_uniform"})
    if kind == "dbn":
        pretrained = _pretrained(folder / f"pretrained-{seed}.ckpt", seed)
        for layer, source in zip(model.rbms, pretrained.rbms, strict=True):
            layer.load_state_dict(source.state_dict())
    fit(model, data, EPOCHS[labels], limit_val_batches=0)
    return model, data


def _pretrained(path: Path, seed: int) -> DBN:
    """Return the net of the config ``dbn``, pre-trained on all images; from a file if that was done before."""
    with torch.random.fork_rng(devices=[]):  # however it is come by, what follows draws the same numbers
        if path.is_file():
            return DBN.load_from_checkpoint(path)
        print_rank_zero(f"Pre-training with seed {seed}:")
        seed_everything(seed, verbose=False)
        model = create_model("dbn")
        assert isinstance(model, DBN)
        data = MNISTDataModule(seed=seed)
        data.prepare_data()
        fit(model, data, model.unlabelled_epochs(), EpochLines())
        write_weights(model, dict(model.hparams), path)
        return model


def _draw(sheet: Sheet, results: Sequence[Result]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4.2), layout="constrained")
    axes = figure.subplots()
    for kind, name, color in zip(KINDS, ("pre-trained (DBN)", "not pre-trained"), COLOURS, strict=False):
        labels = sorted({one.labels for one in results if one.kind == kind})
        rates = [_rates(results, count, kind) for count in labels]
        means = [statistics.fmean(found) for found in rates]
        half = [_half_interval(found) for found in rates]
        axes.errorbar(labels, means, yerr=half, label=name, color=color, marker="o", capsize=3)
    axes.set(xscale="log", yscale="log", xlabel="labels used in fine-tuning, and n seeds", ylabel="test error in %")
    axes.set_title("784-500-500-2000-10: mean over seeds, 95 % interval of the mean", fontsize=10)
    axes.grid(color="0.9")
    counts = {one.labels: len(_rates(results, one.labels, one.kind)) for one in results}
    axes.set_xticks(list(counts), [f"{labels:,}\nn = {count}" for labels, count in counts.items()])
    axes.set_yticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    axes.minorticks_off()
    axes.legend(frameon=False)
    sheet.write(figure, [field.name for field in fields(Result)], map(astuple, results), "few_labels")


def _rates(results: Sequence[Result], labels: int, kind: str) -> list[float]:
    return [one.test_errors / 100 for one in results if (one.labels, one.kind) == (labels, kind)]


def _sd(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0


def _half_interval(values: Sequence[float]) -> float:
    """Half of the 95 % interval of the mean, by Student's t; 0 for a single value."""
    return t_975(len(values) - 1) * _sd(values) / len(values) ** 0.5 if len(values) > 1 else 0.0


def _errors(model: DBN, batches: Any) -> int:
    return evaluate(model, batches).errors


def _read(path: Path, form: type) -> list[Any]:
    if not path.is_file():
        return []
    kinds = {"int": int, "float": float, "str": str}
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return [
                form(**{field.name: kinds[str(field.type)](row[field.name]) for field in fields(form)})
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, ValueError, TypeError, csv.Error) as error:
        raise UsageError(f"{as_typed(path)} is damaged ({error}): remove it to begin anew.") from error


def _write(path: Path, rows: Sequence[Any]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(rows[0])])
        writer.writeheader()
        writer.writerows(map(asdict, rows))
