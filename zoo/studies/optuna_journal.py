"""The file by which the workers of a study share Optuna's trials. Optuna is imported here: import this file late."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock

from zoo.utils.errors import UsageError

LOCK_SECONDS = 30
"""How long a lock may be held before others take it for one of a worker that was killed. It takes milliseconds."""
_STUDY = "zoo"


def open_journal(path: Path) -> optuna.Study:
    """Open the study in a journal, or begin one. Several processes, also on several machines, may do so at once.

    Args:
        path: The file, in a folder that exists.

    Raises:
        UsageError: As for `reported`.
    """
    with reported(path):
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=_RepairingLock(path)))
        return optuna.create_study(
            study_name=_STUDY,
            storage=storage,
            sampler=optuna.samplers.RandomSampler(),
            pruner=optuna.pruners.MedianPruner(),
            direction="minimize",
            load_if_exists=True,
        )


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Raise errors of reading and writing a journal as `UsageError`.

    Args:
        path: The file.

    Raises:
        UsageError: The file cannot be read or written, or it is not a journal.
    """
    try:
        yield
    except OSError as error:
        raise UsageError(f"Cannot use {path}: {error.strerror or error}; name another place.") from error
    except (AssertionError, KeyError, ValueError) as error:  # what Optuna raises for lines it cannot read
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path} is damaged ({error}): remove it to let the sampler begin anew.") from error


class _RepairingLock(JournalFileOpenLock):
    """A file that only one process at a time can create, as NFS 3 and later guarantee.

    Who gets it first removes what a full disk or a power failure has left of a line: the next line would be appended to
    it, and Optuna could read neither.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(str(path), grace_period=LOCK_SECONDS)
        self._path = path

    def acquire(self) -> bool:
        acquired = super().acquire()
        try:
            self._repair()
        except BaseException:
            self.release()
            raise
        return acquired

    def _repair(self) -> None:
        with self._path.open("rb+") as file:
            if file.seek(0, os.SEEK_END) == 0:
                return
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.seek(0)
                file.truncate(file.read().rfind(b"\n") + 1)
