"""Checks of the runs to publish: they are finished, follow the current config, and no seed is left out."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from zoo.data import MNISTDataModule
from zoo.data.archives import ARCHIVES
from zoo.data.base import DIGEST
from zoo.models import ZooModule
from zoo.pretrained.entries import Published
from zoo.pretrained.evaluation import GOLDEN_ROWS
from zoo.pretrained.loading import build, member_class, model_config
from zoo.pretrained.registry import DEFAULT_DATA, ModelInfo
from zoo.runs.checkpoint import Checkpoint, read_checkpoint
from zoo.runs.recipe import first_difference, recipe, with_callbacks_by_number, with_defaults
from zoo.runs.record import read_run_record
from zoo.utils.class_paths import default_arguments, import_class
from zoo.utils.errors import UsageError

LICENCE = "MIT; trained on MNIST, which is CC BY-SA 3.0"


@dataclass(frozen=True)
class FinishedRun:
    """A finished run of a recipe."""

    seed: int
    model: ZooModule
    record: dict[str, Any]
    """The record of the run, as `zoo.runs.record.read_run_record` returns it."""


def finished_runs(info: ModelInfo, paths: Sequence[str | Path]) -> list[FinishedRun]:
    """Read runs and sort them by seed.

    Args:
        info: The member or demonstration.
        paths: The checkpoints of the runs with seeds 0, 1, 2, … in any order, without a gap.

    Raises:
        UsageError: A checkpoint is not of a finished run of this config, or seeds are missing.
    """
    runs = sorted((_read_run(info, path) for path in paths), key=lambda run: run.seed)
    seeds = [run.seed for run in runs]
    if seeds != list(range(len(runs))):
        raise UsageError(
            f"The runs have the seeds {seeds}, but those that are published are 0, 1, 2, … without a gap: "
            "every run is reported and the one of seed 0 ships."
        )
    return runs


def configured_data(info: ModelInfo) -> MNISTDataModule:
    """Create the data module that the config describes.

    Raises:
        UsageError: The data is not MNIST.
    """
    data = yaml.safe_load(info.config.read_text(encoding="utf-8")).get("data", {})
    arguments = data.get("init_args", {})
    if (
        import_class(data.get("class_path", DEFAULT_DATA)) is not MNISTDataModule
        or arguments.get("dataset", "mnist") != "mnist"
    ):
        raise UsageError(f"{info.config} is not about MNIST's ten digits, and only those are published.")
    return MNISTDataModule(**arguments)


def common_entry(info: ModelInfo, run: FinishedRun, content: bytes, test_images: int) -> Published:
    """Return the part of an index entry that members and demonstrations have in common.

    Args:
        info: The member or demonstration.
        run: The run whose network ships.
        content: The bytes of the checkpoint file that ships.
        test_images: The number of test images.
    """
    is_demonstration = info.config.parent.name == "demos"
    return Published(
        sha256=sha256_of(content),
        bytes=len(content),
        parameters=run.model.trained_parameters(),
        seed=run.seed,
        test_images=test_images,
        command=f"zoo fit --config configs/{'demos/' if is_demonstration else ''}{info.name}.yaml "
        f"--seed_everything {run.seed}",
        config=recipe(run.record["config"]),
        versions=run.record["versions"],
        machine=run.record["machine"],
        data_md5={archive.name: archive.md5 for archive in ARCHIVES},
        golden_rows=list(GOLDEN_ROWS),
        licence=LICENCE,
        papers=list(info.papers),
    )


def sha256_of(content: bytes) -> str:
    """Return the SHA-256 of a file's bytes."""
    return hashlib.sha256(content).hexdigest()


def _read_run(info: ModelInfo, path: str | Path) -> FinishedRun:
    checkpoint = read_checkpoint(path)
    record = read_run_record(checkpoint.content)
    if record is None:
        raise UsageError(f"{path} does not say which run it is from: publish a checkpoint that `zoo fit` wrote.")
    seed = record["config"]["seed_everything"]
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"{path} was trained with seed_everything {seed}, but a published run has a seed by number.")
    check_recipe(info, checkpoint, record)
    return FinishedRun(seed, build(info, checkpoint), record)


def check_recipe(info: ModelInfo, checkpoint: Checkpoint, record: dict[str, Any]) -> None:
    """Check that a run is finished, followed the recipe of the current config, and used a single process.

    Raises:
        UsageError: A setting differs, the run is not finished, or it used several processes.
    """
    run_config, config = record["config"], yaml.safe_load(info.config.read_text(encoding="utf-8"))
    data = config.get("data", {"class_path": DEFAULT_DATA})
    expected = {
        "model": dict(member_class(info)(**model_config(info).get("init_args", {})).hparams),
        "data": {**data, "init_args": dict(configured_data(info).hparams)},
        "trainer": config.get("trainer", {}),
    }
    if expected["model"].get("num_classes", 10) != 10:
        raise UsageError(f"{info.config} is not about MNIST's ten digits, and only those are published.")
    in_run = _not_saved(run_config["model"].get("init_args") or {})
    expected["model"] |= _not_saved(model_config(info).get("init_args", {}))
    found = {
        "model": {**default_arguments(member_class(info)), **checkpoint.arguments, **in_run},
        "data": with_defaults(run_config, expected)["data"],
        "trainer": run_config["trainer"],
    }
    expected = with_callbacks_by_number(expected, defaults=True)
    found = with_callbacks_by_number(found, defaults=False)
    if difference := first_difference(recipe(expected), recipe(found)):
        setting, configured, found_value = difference
        raise UsageError(
            f"{checkpoint.path} was trained with {setting} {found_value!r}, but the config says {configured!r}: "
            "name runs of the config as it is."
        )
    data_state = checkpoint.content.get(MNISTDataModule.__name__)
    if isinstance(data_state, dict) and DIGEST in data_state:
        raise UsageError(f"{checkpoint.path} was trained on other data than MNIST's own files: name runs on MNIST.")
    epochs = expected["trainer"].get("max_epochs")
    if epochs is None:
        raise UsageError(f"{info.config} has no trainer.max_epochs, by which a finished run would be known.")
    # Only complete epochs are counted, so a checkpoint from within the last epoch is refused.
    if _completed_epochs(checkpoint) != epochs:
        raise UsageError(f"{checkpoint.path} is not of the end of {epochs} epochs: let the training end.")
    if record["machine"]["processes"] != 1:
        raise UsageError(f"{checkpoint.path} was trained by several processes: name a run of a single one.")


def _not_saved(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a network that checkpoints do not store."""
    return {name: arguments.get(name, default) for name, default in (("init_from", None), ("compile", False))}


def _completed_epochs(checkpoint: Checkpoint) -> int | None:
    progress: Any = checkpoint.content.get("loops")
    for key in ("fit_loop", "epoch_progress", "current", "processed"):
        progress = progress.get(key) if isinstance(progress, dict) else None
    return progress if isinstance(progress, int) else None
