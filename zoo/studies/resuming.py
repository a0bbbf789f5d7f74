"""Going on with the training of a trial that another worker, or this one, has begun."""

from __future__ import annotations

import contextlib
import json
import shutil
from pathlib import Path
from typing import Any

from zoo.runs.checkpoint import read_checkpoint
from zoo.runs.folders import checkpoints_in, is_finite
from zoo.runs.record import read_run_record
from zoo.studies.training import METRICS, link_or_copy, read_metrics
from zoo.utils.environment import gpu_names, machine, versions
from zoo.utils.errors import UsageError


def take_over(trial: Path, generation: int) -> tuple[Path, Path | None]:
    """Make the folder of an attempt, and find the checkpoint it goes on from.

    The checkpoints and metrics of an earlier attempt are copied first: its process may still run, and remove files.
    A training only goes on on the same kind of processor or GPU and with the same versions, because it would end with
    other weights otherwise.

    Args:
        trial: The trial's folder.
        generation: The number of the claim.

    Returns:
        The folder of the attempt, and the checkpoint, or None to train from the beginning.

    Raises:
        OSError: The folder cannot be made.
    """
    attempt = trial / f"attempt-{generation}"
    attempt.mkdir(parents=True)
    for number in range(generation - 1, 0, -1):
        earlier = trial / f"attempt-{number}"
        copies = attempt / "earlier"
        copies.mkdir(exist_ok=True)
        for path in earlier.glob("**/*.ckpt") if earlier.is_dir() else ():
            if not path.is_symlink():
                with contextlib.suppress(OSError):
                    link_or_copy(path, copies / path.name)
        for path in checkpoints_in(copies):
            if _goes_on_here(path):
                lines = (json.dumps(line) + "\n" for line in read_metrics(earlier))
                (attempt / METRICS).write_text("".join(lines), encoding="utf-8")
                return attempt, path
        shutil.rmtree(copies)
    return attempt, None


def _goes_on_here(path: Path) -> bool:
    """Return whether a training that goes on from a checkpoint on this machine ends with the weights it had there."""
    try:
        checkpoint = read_checkpoint(path)
    except UsageError:
        return False
    record: dict[str, Any] | None = read_run_record(checkpoint.content)
    if (
        record is None
        or record["versions"] != versions()
        or record["machine"].get("processor") != machine()["processor"]
    ):
        return False
    device = str(record["machine"].get("device", ""))
    return (device.startswith("CPU") or gpu_names() == {device}) and is_finite(checkpoint)
