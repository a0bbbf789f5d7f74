"""Finding the checkpoints of earlier runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.runs.checkpoint import Checkpoint, read_checkpoint
from zoo.runs.recipe import first_difference, resume_settings, with_defaults
from zoo.runs.record import read_run_record
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder and its subfolders, newest first, without links such as ``last.ckpt``."""
    paths = [path for path in folder.rglob("*.ckpt") if path.is_file() and not path.is_symlink()]
    return sorted(paths, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def has_finite_weights(path: Path) -> bool:
    """Return whether a checkpoint is readable and all its weights are finite."""
    try:
        return all(bool(tensor.isfinite().all()) for tensor in read_checkpoint(path).state_dict.values())
    except UsageError:
        return False


def newest_checkpoint(folder: Path, config: dict[str, Any]) -> Checkpoint:
    """Return the newest readable checkpoint of the runs of a config.

    Args:
        folder: The folder with the runs ``version_0``, ``version_1``, …
        config: The resolved config, in the form that `zoo.callbacks.run_record.RunRecord` stores. Runs with another
            seed, model, data or step settings are skipped.

    Raises:
        UsageError: There is no such checkpoint.
    """
    for checkpoint in _readable_checkpoints(folder):
        record = read_run_record(checkpoint.content)
        if record and not first_difference(
            resume_settings(with_defaults(record["config"], config)), resume_settings(config)
        ):
            return checkpoint
    raise UsageError(
        f"There is no checkpoint of this config and seed in {folder}, so nothing can go on from the last one: "
        "start without --ckpt_path."
    )


def _readable_checkpoints(folder: Path) -> Iterator[Checkpoint]:
    """Yield the readable checkpoints, newest first, and print a line for each one that is skipped."""
    for path in checkpoints_in(folder):
        try:
            yield read_checkpoint(path)
        except UsageError as error:
            print_rank_zero(f"{error} Looking for the one before.")
