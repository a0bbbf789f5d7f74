"""Atomic writing of files, reading of regular files only, and paths for display.

A file is replaced only if the zoo has written it, which a marker in its content says. A device or a pipe is written to.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import re
import shutil
import socket
import stat
import sys
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path

from zoo.utils.errors import UsageError
from zoo.utils.printable import printable

MARKER = "Written by mnist-lightning-zoo (b1f7c04e)"
"""The text in every output by which the zoo knows it as its own."""


@contextmanager
def atomic_path(path: Path, marker: str = MARKER, replace: bool = False) -> Iterator[Path]:
    """Write a file atomically: yield a temporary path in the same folder and rename it to ``path`` on success.

    Several processes may write the same path at once. Each writes its own temporary file, and the last rename wins.
    What is meant for a device or a pipe is written to a temporary file and then copied to it.

    Args:
        path: The file to write. Its folder is created if it does not exist, and removed again on failure.
        marker: The text that an existing file must contain, as in `check_output`.
        replace: Whether to replace any existing file, for files that only the zoo writes, such as those of a run.

    Raises:
        UsageError: As for `check_output`, or the file cannot be written (disk full).
    """
    if not replace:
        check_output(path, marker)
    if not replace and is_stream(path):
        with _reported(path), tempfile.TemporaryDirectory() as temporary_folder:
            temporary = Path(temporary_folder) / "output"
            yield temporary
            _copy_to_stream(temporary, path)
        return
    temporary = path.with_name(temporary_name(path.name))
    created = [folder for folder in path.parents if not folder.exists()]
    try:
        with _reported(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            if not replace:
                check_output(path, marker)  # again, because another program may have written it meanwhile
            os.replace(temporary, path)
            created = []
    finally:
        if temporary.parent.is_dir():
            temporary.unlink(missing_ok=True)
        for folder in created:
            with contextlib.suppress(OSError):  # it was not created, or another process uses it
                folder.rmdir()


def write_bytes(path: Path, content: bytes, marker: str = MARKER, replace: bool = False) -> None:
    """Write ``content`` to ``path`` atomically.

    Args:
        path: The file to write.
        content: Its content.
        marker: As for `atomic_path`.
        replace: As for `atomic_path`.

    Raises:
        UsageError: As for `atomic_path`.
    """
    with atomic_path(path, marker, replace) as temporary, temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())  # else a power failure after the rename could leave an empty file


def create_exclusively(path: Path, content: bytes) -> bool:
    """Create a file with its whole content, unless it exists.

    However many processes on however many machines do this at once, one of them creates the file. A hard link is made
    exclusively on network file systems as well, and shows the file only when it is complete. A file system without hard
    links gets the file itself, which may be seen before it is complete.

    Args:
        path: The file to create. Its folder is created if it does not exist.
        content: Its content.

    Returns:
        Whether this call created the file.

    Raises:
        UsageError: The file cannot be written.
    """
    temporary = path.with_name(temporary_name(path.name))
    with _reported(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(temporary, path)
            except FileExistsError:
                # A server may have made the link and its answer may have been lost, so that it was asked twice.
                return temporary.stat().st_nlink > 1
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK):
                    raise
                return _create_without_link(path, content)
            return True
        finally:
            temporary.unlink(missing_ok=True)


def check_output(path: Path, marker: str = MARKER) -> None:
    """Check that a file can be written, before work begins whose result it is to hold.

    Args:
        path: The file to write.
        marker: The text that an existing file must contain to be replaced.

    Raises:
        UsageError: The path is a folder, a disk, a link to anything but a device, or a file without the marker, or the
            folder does not permit it.
    """
    check_local(path)
    with _reported(path):
        if is_stream(path):
            return
        if path.is_symlink():
            raise UsageError(f"{path} is a link, and links are not written through: name the file itself.")
        if path.is_dir():
            raise UsageError(f"{path} is a folder: name a file in it.")
        if path.exists() and not path.is_file():
            raise UsageError(f"{path} is a disk or a socket: name a file.")
        if path.exists() and not _contains(path, marker.encode()):
            raise UsageError(f"{path} exists and was not written by zoo: name another file, or remove it.")
        folder = next(parent for parent in path.absolute().parents if parent.exists() or parent.is_symlink())
        if not folder.is_dir():
            raise UsageError(f"Cannot write {path}: {folder} is no folder; name another place.")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise UsageError(f"Cannot write {path}: the folder {folder} may not be written to; name another place.")


def check_local(path: str | Path, name: str = "") -> None:
    """Check that a text can be the path of a local file or folder.

    Args:
        path: The path.
        name: The setting that it is the value of, for the message.

    Raises:
        UsageError: It is a URL, or holds a NUL character.
    """
    shown = f"{name} {path}".lstrip()
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):  # `Path` makes one slash of two
        raise UsageError(f"{shown} is a URL: name a local file or folder.")
    if "\0" in str(path):
        raise UsageError(f"{shown} holds a NUL character, which no path can: name another one.")


def is_stream(path: Path) -> bool:
    """Return whether a path is, or links to, a character device or a pipe, which is written to and never replaced."""
    if _descriptor(path) is not None:
        return True
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISCHR(mode) or stat.S_ISFIFO(mode)


def is_abandoned_temporary(path: Path) -> bool:
    """Return whether a path has a `temporary_name` whose process, on this host, has ended."""
    found = re.fullmatch(rf"\..*\.{re.escape(_host())}\.([1-9]\d*)\.[0-9a-f]{{8}}\.tmp", path.name, re.DOTALL)
    if found is None:
        return False
    try:
        os.kill(int(found[1]), 0)  # sends no signal
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


def display_path(path: Path) -> str:
    """Return the path relative to the current folder if it is inside it, else the absolute path, made printable."""
    path = path.absolute()
    return printable(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)


def expand_user(path: str) -> Path:
    """Return a path with ``~`` replaced by the home folder, or unchanged where there is no such home folder."""
    return Path(os.path.expanduser(path))


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


@contextmanager
def _reported(path: Path) -> Iterator[None]:
    """Raise an OSError as a `UsageError` that names the path."""
    try:
        yield
    except OSError as error:
        advice = "choose a shorter name" if error.errno == errno.ENAMETOOLONG else "name another place"
        raise UsageError(f"Cannot write {path}: {error.strerror or error}; {advice}.") from error


def _create_without_link(path: Path, content: bytes) -> bool:
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError:
        return False
    return True


def temporary_name(name: str) -> str:
    """Return a free name beside ``name`` by which `is_abandoned_temporary` knows whose it is."""
    # Cut, because a file name has at most 255 bytes.
    return f".{name[:40]}.{_host()}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp"


def _host() -> str:
    return re.sub(r"[^\w-]", "-", socket.gethostname())[:64]


def _contains(path: Path, marker: bytes) -> bool:
    with path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return False
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(marker) >= 0


def _descriptor(path: Path) -> int | None:
    """Return the file descriptor of this process that a path such as ``/dev/stdout`` is, or None."""
    for _ in range(3):  # /dev/stdout is a link to /proc/self/fd/1, and that one to the file itself
        if found := re.fullmatch(r"/(?:dev|proc/self)/fd/(\d+)", os.path.abspath(path)):
            return int(found[1])
        if not path.is_symlink() or path.parent != Path("/dev"):
            return None
        path = path.parent / os.readlink(path)
    return None


def _copy_to_stream(source: Path, path: Path) -> None:
    descriptor = _descriptor(path)
    if sys.stdout is not None:
        sys.stdout.flush()
    # A descriptor is duplicated and not opened anew: a file behind it would be written from its beginning.
    with source.open("rb") as file, open(path if descriptor is None else os.dup(descriptor), "wb") as stream:
        shutil.copyfileobj(file, stream)
