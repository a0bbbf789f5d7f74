"""Finding what earlier runs left behind."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.runs.checkpoint import Checkpoint, read_checkpoint
from zoo.runs.recipe import completed, first_difference, settings_of_steps
from zoo.runs.record import recorded_run
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints below a folder, the newest first; links such as ``last.ckpt`` are not counted twice."""
    found = [path for path in folder.rglob("*.ckpt") if path.is_file() and not path.is_symlink()]
    return sorted(found, key=lambda path: (path.stat().st_mtime_ns, path.name), reverse=True)


def has_finite_weights(path: Path) -> bool:
    """Whether a checkpoint can be read and all of its weights are finite numbers."""
    try:
        return all(bool(tensor.isfinite().all()) for tensor in read_checkpoint(path).state_dict.values())
    except UsageError:
        return False


def newest_checkpoint(folder: Path, config: dict[str, Any]) -> Checkpoint:
    """Return the newest sound checkpoint among the runs of a config.

    Args:
        folder: Where the runs of this name lie: ``version_0``, ``version_1``, …
        config: The resolved config, as `zoo.callbacks.record.RunRecord` keeps it; a run with another seed, network,
            data or another way of making steps is passed over.

    Raises:
        UsageError: There is none.
    """
    for checkpoint in _sound(folder):
        record = recorded_run(checkpoint.content)
        if record and not first_difference(
            settings_of_steps(completed(record["config"], config)), settings_of_steps(config)
        ):
            return checkpoint
    raise UsageError(
        f"There is no checkpoint of this config and seed in {folder}, so nothing can go on from the last one: "
        "start without --ckpt_path."
    )


def _sound(folder: Path) -> Iterator[Checkpoint]:
    for path in checkpoints_in(folder):
        try:
            yield read_checkpoint(path)
        except UsageError as error:
            print_rank_zero(f"{error} Looking for the one before.")
