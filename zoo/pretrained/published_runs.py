"""What publishing asks of runs, whatever they trained: finished, of the config as it is, every seed reported."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zoo.data import MNISTDataModule
from zoo.data.archives import ARCHIVES
from zoo.models import ZooModule
from zoo.pretrained.evaluation import GOLDEN_ROWS
from zoo.pretrained.loading import build, member_class, model_config
from zoo.pretrained.registry import ModelInfo, Published
from zoo.runs.checkpoint import Checkpoint, read_checkpoint
from zoo.runs.recipe import completed, first_difference, recipe
from zoo.runs.record import recorded_run
from zoo.utils.class_paths import default_arguments, import_class
from zoo.utils.errors import UsageError
from zoo.utils.files import write_bytes

LICENCE = "MIT; trained on MNIST, which is CC BY-SA 3.0"

MNIST = "zoo.data.MNISTDataModule"
"""The data of a config that names none."""


@dataclass(frozen=True)
class FinishedRun:
    """A finished run of a recipe."""

    seed: int
    model: ZooModule
    record: dict[str, Any]
    """What `zoo.callbacks.run_record.recorded_run` gives."""


def finished_runs(info: ModelInfo, paths: Sequence[str | Path], reported: int) -> list[FinishedRun]:
    """Read runs and put them into the order of their seeds.

    Args:
        info: The member or demonstration.
        paths: The runs' checkpoints, of the seeds 0, 1, 2, … in any order and without a gap.
        reported: How many runs the index reports already.

    Raises:
        UsageError: A checkpoint is not of a finished run of this config, or seeds are missing.
    """
    runs = sorted((_read(info, path) for path in paths), key=lambda run: run.seed)
    seeds = [run.seed for run in runs]
    if seeds != list(range(len(runs))):
        raise UsageError(
            f"The runs have the seeds {seeds}, but those that are published are 0, 1, 2, … without a gap: "
            "every run is reported and the one of seed 0 ships."
        )
    if len(runs) < reported:
        raise UsageError(
            f"The index reports {reported} runs of {info.name}, and these are {len(runs)}: a run that was reported "
            f"stays, so give at least the seeds 0 to {reported - 1}."
        )
    return runs


def described_data(info: ModelInfo) -> MNISTDataModule:
    """Return the data as the config describes it.

    Raises:
        UsageError: It is not MNIST.
    """
    data = yaml.safe_load(info.config.read_text(encoding="utf-8")).get("data", {})
    arguments = data.get("init_args", {})
    if (
        import_class(data.get("class_path", MNIST)) is not MNISTDataModule
        or arguments.get("dataset", "mnist") != "mnist"
    ):
        raise UsageError(f"{info.config} is not about MNIST's ten digits, and only those are published.")
    return MNISTDataModule(**arguments)


def published(info: ModelInfo, run: FinishedRun, content: bytes, test_images: int) -> Published:
    """Return what is said of every network that ships.

    Args:
        info: The member or demonstration.
        run: The run that ships.
        content: The checkpoint that ships, as a file's bytes.
        test_images: How many it was tested on.
    """
    demonstration = info.config.parent.name == "demos"
    return Published(
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        parameters=run.model.trained_parameters(),
        seed=run.seed,
        test_images=test_images,
        command=f"zoo fit --config configs/{'demos/' if demonstration else ''}{info.name}.yaml "
        f"--seed_everything {run.seed}",
        config=recipe(run.record["config"]),
        versions=run.record["versions"],
        machine=run.record["machine"],
        data_md5={archive.name: archive.md5 for archive in ARCHIVES},
        golden_rows=list(GOLDEN_ROWS),
        licence=LICENCE,
        papers=list(info.papers),
    )


def write_index(path: Path, index: Mapping[str, Any]) -> None:
    """Write an index so that a person can read it and a diff shows what changed."""
    text = json.dumps(dict(sorted(index.items())), indent=1, ensure_ascii=False) + "\n"
    # A row of numbers on a line of its own can be read, and compared in a diff.
    text = re.sub(r"\[([-+.\de,\s]+)\]", lambda row: "[" + " ".join(row[1].split()) + "]", text)
    write_bytes(path, text.encode())


def _read(info: ModelInfo, path: str | Path) -> FinishedRun:
    checkpoint = read_checkpoint(path)
    record = recorded_run(checkpoint.content)
    if record is None:
        raise UsageError(f"{path} does not say which run it is from: publish a checkpoint that `zoo fit` wrote.")
    seed = record["config"]["seed_everything"]
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"{path} was trained with seed_everything {seed}, but a published run has a seed by number.")
    check_recipe(info, checkpoint, record)
    return FinishedRun(seed, build(info, checkpoint), record)


def check_recipe(info: ModelInfo, checkpoint: Checkpoint, record: dict[str, Any]) -> None:
    """Refuse a run of another recipe than the config's, or one that is not finished.

    Raises:
        UsageError: The sentence says what differs.
    """
    trained, described = record["config"], yaml.safe_load(info.config.read_text(encoding="utf-8"))
    data = described.get("data", {"class_path": MNIST})
    whole = {
        "model": dict(member_class(info)(**model_config(info).get("init_args", {})).hparams),
        "data": {**data, "init_args": dict(described_data(info).hparams)},
        "trainer": described.get("trainer", {}),
    }
    if whole["model"].get("num_classes", 10) != 10:
        raise UsageError(f"{info.config} is not about MNIST's ten digits, and only those are published.")
    # Checkpoints keep nothing of where a training began.
    began = {"init_from": (trained["model"].get("init_args") or {}).get("init_from")}
    whole["model"]["init_from"] = model_config(info).get("init_args", {}).get("init_from")
    found = {
        "model": {**default_arguments(member_class(info)), **checkpoint.arguments, **began},
        "data": completed(trained, whole)["data"],
        "trainer": trained["trainer"],
    }
    if difference := first_difference(recipe(whole), recipe(found)):
        setting, ours, theirs = difference
        raise UsageError(
            f"{checkpoint.path} was trained with {setting} {theirs!r}, but the config says {ours!r}: name runs of the "
            "config as it is."
        )
    epochs = whole["trainer"].get("max_epochs")
    if epochs is None:
        raise UsageError(f"{info.config} has no trainer.max_epochs, by which a finished run would be known.")
    # Counted up when an epoch is over: a checkpoint from the middle of the last one has not got there.
    if _epochs_done(checkpoint) != epochs:
        raise UsageError(f"{checkpoint.path} is not of the end of {epochs} epochs: let the training end.")
    if record["machine"]["processes"] != 1:
        raise UsageError(f"{checkpoint.path} was trained by several processes: name a run of a single one.")


def _epochs_done(checkpoint: Checkpoint) -> int | None:
    progress: Any = checkpoint.content.get("loops")
    for part in ("fit_loop", "epoch_progress", "current", "processed"):
        progress = progress.get(part) if isinstance(progress, dict) else None
    return progress if isinstance(progress, int) else None
