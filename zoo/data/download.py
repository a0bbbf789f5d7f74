"""Download of files that are missing. A file that exists is never changed, replaced or removed."""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from torchvision.datasets.utils import download_url

from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError
from zoo.utils.files import is_abandoned_temporary, temporary_name

MAX_ATTEMPTS = 3
RETRY_DELAY = 2.0
"""Seconds before the second download attempt. The delay before the third is twice as long."""
DOWNLOAD_ERRORS = (OSError, RuntimeError, ValueError, http.client.HTTPException)
"""What torchvision raises if a file cannot be downloaded, or not as it was published."""
SOCKET_TIMEOUT = 20.0
"""Seconds without data after which a download attempt is aborted, so that a hanging mirror does not block training."""
TEMPORARY = "download-"
"""The beginning of the names of temporary folders."""
SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True)
class Resource:
    """A file that can be downloaded.

    Args:
        name: Name of the file.
        urls: Addresses of the same file, which are tried in this order.
        md5: MD5 of the file, as published.
    """

    name: str
    urls: Sequence[str]
    md5: str


def download(name: str, missing: Sequence[Resource], data_dir: Path, folder: Path) -> None:
    """Download files that a data set lacks, each into a temporary folder first, then to its name.

    A file that appears meanwhile is kept. Several processes may do this at once. The temporary folder is removed, also
    after Ctrl-C, SIGTERM and SIGHUP.

    Args:
        name: The data set, for messages.
        missing: The files.
        data_dir: The data folder. May be a symbolic link.
        folder: The folder of the files, below the data folder. It is made if it does not exist.

    Raises:
        UsageError: A file cannot be downloaded, or the folder is a symbolic link, lies below one or cannot be written.
    """
    advice = f"put {', '.join(resource.name for resource in missing)} there, or name another data.data_dir"
    if data_dir.parts[:1] and data_dir.parts[0].startswith("~"):
        raise UsageError(f"There is no home folder {data_dir.parts[0]}: name another data.data_dir.")
    remaining = list(missing)
    problem: Exception | None = None
    with _exit_on_signals(), _temporary_folder(data_dir, folder, advice) as temporary:
        for attempt in range(MAX_ATTEMPTS):
            if attempt:
                print_rank_zero(
                    f"The download of {name} failed ({_reason(problem)}); once more in {RETRY_DELAY * attempt:.0f} s."
                )
                time.sleep(RETRY_DELAY * attempt)
            try:
                while remaining:
                    _fetch(remaining[0], temporary)
                    _move_to_free_name(temporary / remaining[0].name, folder / remaining[0].name)
                    remaining.pop(0)
                return
            except DOWNLOAD_ERRORS as error:
                problem = error
    raise UsageError(f"{name} is not in {folder} and could not be downloaded ({_reason(problem)}): {advice}.")


def clear_abandoned_downloads(folder: Path) -> None:
    """Remove the temporary folders of downloads whose processes were killed, and nothing else."""
    for path in folder.glob(f".{TEMPORARY}.*"):
        if is_abandoned_temporary(path) and path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)


def _fetch(resource: Resource, folder: Path) -> None:
    """Download a file to a folder, from the first of its addresses that has it, and check its MD5."""
    problems = []
    for url in resource.urls:
        try:
            with _socket_timeout():
                download_url(url, str(folder), filename=resource.name, md5=resource.md5)
            return
        except DOWNLOAD_ERRORS as error:
            problems.append(f"{url}: {error}")
    raise RuntimeError("; ".join(problems))


def _move_to_free_name(source: Path, target: Path) -> None:
    """Move a file to a name in the same file system unless the name is taken."""
    with contextlib.suppress(FileExistsError):
        try:
            os.link(source, target)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links: reserve the name first
            target.open("xb").close()
            try:
                os.replace(source, target)
            except BaseException:
                target.unlink()
                raise


@contextlib.contextmanager
def _temporary_folder(data_dir: Path, folder: Path, advice: str) -> Iterator[Path]:
    """Make ``folder`` and a temporary folder in it. Afterwards remove what was made and is empty."""
    inside = [path for path in (folder, *folder.parents) if path.is_relative_to(data_dir) and path != data_dir]
    for path in inside:
        if os.path.islink(path):
            raise UsageError(f"{path} is a symbolic link, and nothing is downloaded through it: {advice}.")
    made = [path for path in (folder, *folder.parents) if not os.path.exists(path)]
    try:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / temporary_name(TEMPORARY)
            temporary.mkdir(mode=0o700)
        except OSError as error:
            reason = error.strerror or error
            raise UsageError(f"Cannot write {folder}: {reason}; name another data.data_dir.") from error
        try:
            yield temporary
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
    finally:
        for path in made:
            with contextlib.suppress(OSError):  # it holds files now, or another process's
                path.rmdir()


@contextlib.contextmanager
def _exit_on_signals() -> Iterator[None]:
    """Exit with status 128 plus the signal's number on signals that would end the process without clean-up."""

    def exit_process(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    handled = []
    try:
        if threading.current_thread() is threading.main_thread():  # no other thread may set handlers
            for number in SIGNALS:
                if signal.getsignal(number) is signal.SIG_DFL:
                    handled.append(number)
                    signal.signal(number, exit_process)
        yield
    finally:
        for number in handled:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SOCKET_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _reason(problem: Exception | None) -> str:
    """Return the message of an exception in one line."""
    return " ".join(str(problem).split())
