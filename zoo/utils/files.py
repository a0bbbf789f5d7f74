"""Writing files so that nobody ever sees half of one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zoo.utils.errors import UsageError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary name beside ``path``; when the block ends well, rename it onto ``path``.

    Several processes may do this to one path at once: each writes a file of its own and the last rename wins.

    Args:
        path: The file to be written; its folder is made when absent.

    Raises:
        UsageError: The folder cannot be made or the file cannot be written (no permission, disk full).
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        os.replace(temporary, path)
    except OSError as error:
        raise UsageError(f"Cannot write {path}: {error.strerror or error}; name another place.") from error
    finally:
        temporary.unlink(missing_ok=True) if temporary.parent.is_dir() else None


def as_typed(path: Path) -> Path:
    """Return the path as a person would type it from the current folder."""
    path = path.absolute()
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` through a temporary name; raises as `atomic_path` does."""
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # a renamed file whose content a power cut swallowed would be worse than none
