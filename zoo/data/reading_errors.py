"""What goes wrong while data is read, as one sentence."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from zoo.utils.errors import UsageError

Result = TypeVar("Result")


@contextmanager
def reported(path: Path, kind: str = "data", remedy: str = "mend it, or name another data_dir") -> Iterator[None]:
    """Raise what reading a file or a folder raises as a `UsageError` that names it.

    The message of a ValueError is a clause.

    Args:
        path: The file or folder.
        kind: What it cannot be read as.
        remedy: What to do about it.
    """
    try:
        yield
        return
    except UsageError:
        raise
    except ValueError as error:
        reason = str(error)
    except (EOFError, zlib.error):
        reason = "its compressed content is damaged"
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror or error}; name another data_dir.") from error
    raise UsageError(f"{path} cannot be read as {kind}: {reason}; {remedy}.")


def read_reported(path: Path, read: Callable[..., Result], *arguments: Any) -> Result:
    """Return ``read(*arguments)``, and raise what it raises as `reported` does."""
    with reported(path):
        return read(*arguments)
