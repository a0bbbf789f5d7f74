"""A run of ``zoo fit``: a folder of its own, which says what was trained and where its checkpoints are."""

from __future__ import annotations

import contextlib
import json
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.utils.errors import UsageError
from zoo.utils.files import write_bytes

RECORD = "run.json"
MOST_ATTEMPTS = 1000
"""Of making a folder whose parent vanishes. In a place such as ``/proc`` no folder can be made, with the same error."""
_NUMBERED = re.compile(r"version_(\d+)")
# What a run writes into its folder before its first step.
_FILES = (RECORD, "config.yaml", "hparams.yaml", "metrics.csv", "events.out.tfevents.*")


@dataclass(frozen=True)
class Run:
    """A run and the parts of it that may lie anywhere."""

    folder: Path
    """``NAME/version_N``, with the run's record and its config."""
    id: str
    """Names the run in its checkpoints; empty for a run from before version 0.2."""
    config: dict[str, Any] | None
    """The resolved config; None for a run from before version 0.2."""
    checkpoint_folders: tuple[Path, ...]
    """Folders with checkpoints of the run, and maybe of other runs."""
    continues: str = ""
    """The id of the run that this one was resumed from; empty for a new training."""

    @classmethod
    def claim(cls, parent: Path) -> Run:
        """Make the folder of a new run, with the next free number.

        However many runs start at that moment, each has a folder of its own: to make a folder fails where it exists,
        on network file systems as well.

        Args:
            parent: The folder of the runs of this name, which is made as well.

        Raises:
            UsageError: The folder cannot be made.
        """
        attempts = 0
        while True:
            attempts += 1
            numbers = [number_of(path) for path in parent.iterdir()] if parent.is_dir() else []
            folder = parent / f"version_{max(numbers, default=-1) + 1}"
            try:
                parent.mkdir(parents=True, exist_ok=True)
                folder.mkdir()
            except FileExistsError:
                if not parent.is_dir():
                    raise UsageError(f"Cannot use {parent}: Not a directory; name another place.") from None
            except OSError as error:
                if isinstance(error, FileNotFoundError) and attempts < MOST_ATTEMPTS:
                    continue  # another run has just removed the empty parent
                raise UsageError(f"Cannot use {folder}: {error.strerror}; name another place.") from error
            else:
                return cls(folder, uuid.uuid4().hex, None, (folder / "checkpoints",))

    @classmethod
    def read(cls, folder: Path) -> Run:
        """Read the record of a run, which is absent before version 0.2."""
        try:
            record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
            folders = tuple(folder / str(path) for path in record["checkpoint_folders"])
            return cls(folder, str(record["id"]), dict(record["config"]), folders, str(record.get("continues", "")))
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return cls(folder, "", None, (folder,))

    def record(self, config: dict[str, Any], checkpoint_folders: Sequence[Path], continues: str = "") -> Run:
        """Write what is trained and where the checkpoints go, and return the run that knows it.

        Args:
            config: The resolved config as plain values.
            checkpoint_folders: The folders of the run's checkpoints.
            continues: The id of the run that this one is resumed from.

        Raises:
            UsageError: The record cannot be written.
        """
        own = self.folder.absolute()
        # Relative within the run's folder, so that it can be moved.
        folders = [path.relative_to(own) if path.is_relative_to(own) else path for path in checkpoint_folders]
        content = {"id": self.id, "config": config, "checkpoint_folders": [str(path) for path in folders]}
        content |= {"continues": continues} if continues else {}
        write_bytes(self.folder / RECORD, json.dumps(content, indent=1).encode())
        return Run(self.folder, self.id, config, tuple(self.folder / path for path in folders), continues)

    def remove_if_empty(self) -> None:
        """Remove what the run itself has written, unless there is a checkpoint; anything else stays."""
        if any(self.folder.rglob("*.ckpt")):
            return
        with contextlib.suppress(OSError):
            for pattern in _FILES:
                for path in self.folder.glob(pattern):
                    path.unlink()
            # A folder with anything else in it is not removed.
            for folder in (self.folder / "checkpoints", self.folder, self.folder.parent, self.folder.parent.parent):
                if folder.is_dir():
                    folder.rmdir()


def number_of(folder: Path) -> int:
    """Return the number of a run's folder, or −1 if it is none."""
    match = _NUMBERED.fullmatch(folder.name)
    return int(match[1]) if match else -1


def runs_in(parent: Path) -> list[Run]:
    """Return the runs in a folder, the newest first."""
    folders = [path for path in parent.iterdir() if number_of(path) >= 0 and path.is_dir()] if parent.is_dir() else []
    return [Run.read(folder) for folder in sorted(folders, key=number_of, reverse=True)]
