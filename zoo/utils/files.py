"""Atomic writing of files, reading of regular files only, and paths for display."""

from __future__ import annotations

import os
import platform
import re
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from zoo.utils.errors import UsageError

_TEMPORARY = re.compile(r"\..+\.([\w-]+)\.(\d+)\.[0-9a-f]{32}\.tmp")


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path in the same folder and rename it to ``path`` on success.

    Several processes may write the same path at once. Each writes its own temporary file, and the last rename wins.

    Args:
        path: The file to write. Its folder is created if it does not exist.

    Raises:
        UsageError: The folder cannot be made or the file cannot be written (no permission, disk full).
    """
    # With the machine and the process, so that a later start can tell whether it is still written.
    temporary = path.with_name(f".{path.name}.{_host()}.{os.getpid()}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror or error}; name another place.") from error
    finally:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None


def display_path(path: Path) -> Path:
    """Return the path relative to the current folder if it is inside it, and the absolute path otherwise."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def expand_user(path: str) -> Path:
    """Return a path with ``~`` replaced by the home folder, or unchanged where there is no such home folder."""
    return Path(os.path.expanduser(path))


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically.

    Raises:
        UsageError: As for `atomic_path`.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # else a power failure after the rename could leave an empty file


def is_abandoned_temporary(path: Path) -> bool:
    """Return whether a file is one that `atomic_path` began to write on this machine in a process that is gone."""
    match = _TEMPORARY.fullmatch(path.name)
    if match is None or match[1] != _host():
        return False
    try:
        os.kill(int(match[2]), 0)  # sends nothing
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:
        return False
    return False


def _host() -> str:
    return re.sub(r"\W", "-", platform.node())


def open_file(path: Path) -> BufferedReader:
    """Open a regular file, or a symbolic link to one, for reading.

    Anything else is not opened: opening a pipe waits for another process, and a device may never end.

    Raises:
        UsageError: The path is a folder, a pipe, a device or a socket.
        OSError: The file is missing or cannot be read.
    """
    if not stat.S_ISREG(path.stat().st_mode):
        raise UsageError(f"{path} is no file, but a folder, a pipe or a device: remove it, or name another place.")
    return path.open("rb")
