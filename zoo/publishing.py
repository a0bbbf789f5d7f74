"""From runs' checkpoints to the trained network that ships, with figures that were measured, not told."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zoo.callbacks.record import recorded_run
from zoo.checkpoint import Checkpoint, read_checkpoint, write_weights
from zoo.data import MNISTDataModule
from zoo.data.archives import ARCHIVES
from zoo.errors import UsageError
from zoo.evaluation import GOLDEN_ROWS, Evaluation, evaluate, golden_logits, images_per_second
from zoo.files import atomic_path, write_bytes
from zoo.intervals import reproduction_interval, wilson_interval
from zoo.members import Entry, ModelInfo, index_path, model_info, read_index
from zoo.models import Classifier
from zoo.pretrained import build, create_model
from zoo.recipe import first_difference, recipe
from zoo.verification import check_figures, count_parameters

LICENCE = "MIT; trained on MNIST, which is CC BY-SA 3.0"


@dataclass(frozen=True)
class MeasuredRun:
    """A finished run of a member's recipe and what its network does."""

    seed: int
    model: Classifier
    record: dict[str, Any]
    test: Evaluation
    validation: Evaluation | None


def publish(name: str, paths: Sequence[str | Path]) -> Entry:
    """Make a member's checkpoint and its entry in the index from finished runs of its config.

    The network of seed 0 ships, so that no one can have picked it by its result; the other runs are reported beside
    it. Nothing is replaced before what was written has been read back and verified.

    Args:
        name: The member.
        paths: The runs' checkpoints, of the seeds 0, 1, 2, … in any order and without a gap.

    Returns:
        The entry, as it was written.

    Raises:
        UsageError: A checkpoint is not of a finished run of this member's config, or seeds are missing.
    """
    info = model_info(name)
    data = MNISTDataModule(val_size=_described_data(info).val_size)
    data.prepare_data()
    data.setup()
    runs = sorted((_measure(info, path, data) for path in paths), key=lambda run: run.seed)
    seeds = [run.seed for run in runs]
    if seeds != list(range(len(runs))):
        raise UsageError(
            f"The runs have the seeds {seeds}, but those that are published are 0, 1, 2, … without a gap: "
            "every run is reported and the one of seed 0 ships."
        )
    before = info.figures["runs"] if info.figures else []
    if len(runs) < len(before):
        raise UsageError(
            f"The index reports {len(before)} runs of {name}, and these are {len(runs)}: a run that was reported "
            f"stays, so give at least the seeds 0 to {len(before) - 1}."
        )
    # The index is written while the checkpoint still has another name: a failure leaves both as they were.
    with atomic_path(info.checkpoint) as temporary:
        write_weights(runs[0].model, dict(runs[0].model.hparams), temporary)
        entry = _entry(info, runs, temporary.read_bytes(), data)
        written = dataclasses.replace(info, checkpoint=temporary)
        check_figures(written, entry, build(written, read_checkpoint(temporary)), data)
        _write_entry(name, entry)
    return entry


def _entry(info: ModelInfo, runs: list[MeasuredRun], content: bytes, data: MNISTDataModule) -> Entry:
    shipped = runs[0]
    errors = [run.test.errors for run in runs]
    return Entry(
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parameters=count_parameters(shipped.model),
        seed=shipped.seed,
        test_images=shipped.test.images,
        test_errors=shipped.test.errors,
        test_errors_ci95=[round(bound, 1) for bound in wilson_interval(shipped.test.errors, shipped.test.images)],
        nll=shipped.test.nll,
        calibration_error=shipped.test.calibration_error,
        val_accuracy=_accuracy(shipped.validation),
        runs=[
            {
                "seed": run.seed,
                "test_errors": run.test.errors,
                "val_accuracy": _accuracy(run.validation),
                "seconds": round(run.record["seconds"], 1),
            }
            for run in runs
        ],
        errors_mean=round(statistics.fmean(errors), 2),
        errors_sd=round(statistics.stdev(errors), 2) if len(errors) > 1 else None,
        reproduction_interval=list(reproduction_interval(errors, shipped.test.images)),
        images_per_second=round(images_per_second(shipped.model, data), -2),
        command=f"zoo fit --config configs/{info.name}.yaml --seed_everything {shipped.seed}",
        config=recipe(shipped.record["config"]),
        versions=shipped.record["versions"],
        machine=shipped.record["machine"],
        data_md5={archive.name: archive.md5 for archive in ARCHIVES},
        golden_rows=list(GOLDEN_ROWS),
        golden_logits=[[float(f"{logit:.6g}") for logit in row] for row in golden_logits(shipped.model, data).tolist()],
        licence=LICENCE,
        papers=list(info.papers),
    )


def _measure(info: ModelInfo, path: str | Path, data: MNISTDataModule) -> MeasuredRun:
    checkpoint = read_checkpoint(path)
    record = recorded_run(checkpoint.content)
    if record is None:
        raise UsageError(f"{path} does not say which run it is from: publish a checkpoint that `zoo fit` wrote.")
    seed = record["config"]["seed_everything"]
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"{path} was trained with seed_everything {seed}, but a published run has a seed by number.")
    _check_recipe(info, checkpoint, record)
    model = build(info, checkpoint)
    validation = data.val_dataloader()
    return MeasuredRun(
        seed=seed,
        model=model,
        record=record,
        test=evaluate(model, data.test_dataloader()),
        validation=None if isinstance(validation, list) else evaluate(model, validation),
    )


def _check_recipe(info: ModelInfo, checkpoint: Checkpoint, record: dict[str, Any]) -> None:
    trained, described = record["config"], yaml.safe_load(info.config.read_text(encoding="utf-8"))
    data = described.get("data", {"class_path": "zoo.data.MNISTDataModule"})
    whole = {
        "model": dict(create_model(info.name).hparams),
        "data": {**data, "init_args": dict(_described_data(info).hparams)},
        "trainer": described.get("trainer", {}),
    }
    found = {"model": checkpoint.arguments, "data": trained["data"], "trainer": trained["trainer"]}
    if difference := first_difference(recipe(whole), recipe(found)):
        setting, ours, theirs = difference
        raise UsageError(
            f"{checkpoint.path} was trained with {setting} {theirs!r}, but the config says {ours!r}: publish runs of "
            "the config as it is."
        )
    epochs = whole["trainer"].get("max_epochs")
    if epochs is None:
        raise UsageError(f"{info.config} has no trainer.max_epochs, by which a finished run would be known.")
    # Counted up when an epoch is over: a checkpoint from the middle of the last one has not got there.
    if _epochs_done(checkpoint) != epochs:
        raise UsageError(f"{checkpoint.path} is not of the end of {epochs} epochs: let the training end.")
    if record["machine"]["processes"] != 1:
        raise UsageError(f"{checkpoint.path} was trained by several processes: publish a run of a single one.")


def _epochs_done(checkpoint: Checkpoint) -> int | None:
    progress: Any = checkpoint.content.get("loops")
    for part in ("fit_loop", "epoch_progress", "current", "processed"):
        progress = progress.get(part) if isinstance(progress, dict) else None
    return progress if isinstance(progress, int) else None


def _described_data(info: ModelInfo) -> MNISTDataModule:
    config = yaml.safe_load(info.config.read_text(encoding="utf-8"))
    return MNISTDataModule(**config.get("data", {}).get("init_args", {}))


def _accuracy(evaluation: Evaluation | None) -> float | None:
    return None if evaluation is None else round(evaluation.accuracy, 6)


def _write_entry(name: str, entry: Entry) -> None:
    index = dict(sorted({**read_index(), name: entry}.items()))
    text = json.dumps(index, indent=1, ensure_ascii=False) + "\n"
    # A row of numbers on a line of its own can be read, and compared in a diff.
    text = re.sub(r"\[([-+.\de,\s]+)\]", lambda row: "[" + " ".join(row[1].split()) + "]", text)
    write_bytes(index_path(), text.encode())
    read_index.cache_clear()
