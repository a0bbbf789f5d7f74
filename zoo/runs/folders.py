"""Finding the checkpoints of earlier runs."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from zoo.runs.checkpoint import Checkpoint, read_checkpoint
from zoo.runs.recipe import differing_settings, first_difference, resume_settings, with_defaults
from zoo.runs.record import read_run_record
from zoo.runs.run import Run, runs_in
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError
from zoo.utils.files import is_abandoned_temporary


def checkpoints_in(folder: Path) -> list[Path]:
    """Return the checkpoints in a folder and its subfolders, without links such as ``last.ckpt``.

    The one with the most steps is first. Times of files are no measure of that: a clock may be set, and files copied.
    """
    paths = [path for path in folder.rglob("*.ckpt") if path.is_file() and not path.is_symlink()]
    return sorted(paths, key=lambda path: (_steps_of(path), path.stat().st_mtime_ns, path.name), reverse=True)


def _steps_of(path: Path) -> int:
    if match := re.search(r"step=(\d+)", path.name):
        return int(match[1])
    try:
        steps = read_checkpoint(path).content.get("global_step")
    except UsageError:
        return -1
    return steps if isinstance(steps, int) else -1


def is_finite(checkpoint: Checkpoint) -> bool:
    """Return whether all weights of a checkpoint are finite."""
    return all(bool(tensor.isfinite().all()) for tensor in checkpoint.state_dict.values())


def has_finite_weights(path: Path) -> bool:
    """Return whether a checkpoint is readable and all its weights are finite."""
    try:
        return is_finite(read_checkpoint(path))
    except UsageError:
        return False


def newest_checkpoint(parent: Path, config: dict[str, Any]) -> Checkpoint:
    """Return the checkpoint from which a config's training goes on: the furthest step of its newest run.

    Args:
        parent: The folder with the runs ``version_0``, ``version_1``, …
        config: The resolved config, in the form that `zoo.callbacks.run_record.RunRecord` stores. Runs with another
            seed, model, data, step settings or callbacks that shape a training are skipped.

    Raises:
        UsageError: There is no such checkpoint.
    """
    closest: tuple[int, str] | None = None
    for run in runs_in(parent):
        if run.config is not None and (difference := _difference(run.config, config)):
            count = len(differing_settings([resume_settings(each) for each in (run.config, config)]))
            if closest is None or count < closest[0]:
                closest = count, f"{run.folder.name} has {difference}"
        if run.config is None or _agree(run.config, config):
            for checkpoint in _checkpoints_of(run):
                record = read_run_record(checkpoint.content)
                if record and _agree(record["config"], config):
                    return checkpoint
    reason = f" ({closest[1]})" if closest else ""
    raise UsageError(
        f"There is no checkpoint of this config and seed in {parent}{reason}, so nothing can go on from the last one: "
        "start without --ckpt_path, and to start from the weights of a run with other settings, give "
        "--model.init_from FILE.ckpt."
    )


def _agree(older: dict[str, Any], newer: dict[str, Any]) -> bool:
    return not _difference(older, newer)


def _difference(older: dict[str, Any], newer: dict[str, Any]) -> str | None:
    """Say what an earlier run was trained with and this one is not, or None."""
    found = first_difference(resume_settings(with_defaults(older, newer)), resume_settings(newer))
    return None if found is None else f"{found[0]} {found[1]!r}, and this one has {found[2]!r}"


def _checkpoints_of(run: Run) -> Iterator[Checkpoint]:
    """Yield a run's checkpoints that can be used, the furthest first, and print a line for each one that is skipped."""
    paths = {path.resolve(): path for folder in run.checkpoint_folders for path in checkpoints_in(folder)}
    for path in sorted(paths.values(), key=_steps_of, reverse=True):
        try:
            checkpoint = read_checkpoint(path)
        except UsageError as error:
            print_rank_zero(f"{error} Looking for the one before.")
            continue
        record = read_run_record(checkpoint.content)
        if record is None or (run.id and record["run"] not in (run.id, "")):
            continue  # weights only, or another run's in a folder that both use
        if not is_finite(checkpoint):
            print_rank_zero(f"{path} holds numbers that are not finite. Looking for the one before.")
            continue
        yield checkpoint


def clear_abandoned_checkpoints(parent: Path) -> None:
    """Remove the temporary files of checkpoints that processes of earlier runs had begun to write when they died.

    Args:
        parent: The folder with the runs ``version_0``, ``version_1``, …
    """
    for run in runs_in(parent):
        for path in (path for folder in run.checkpoint_folders for path in folder.glob(".*.tmp")):
            if is_abandoned_temporary(path):
                with contextlib.suppress(OSError):
                    path.unlink()
