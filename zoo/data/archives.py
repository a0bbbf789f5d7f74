"""The four official MNIST archives: they ship with the package and are read from there."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import os
import stat
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from zoo.utils.errors import UsageError
from zoo.utils.files import expand_user


@dataclass(frozen=True)
class Archive:
    """One MNIST archive.

    Args:
        name: File name of the gzip archive.
        size: Size of the archive in bytes.
        md5: MD5 of the archive, as published with MNIST.
        content_size: Size of the decompressed file in bytes.
        content_sha256: SHA-256 of the decompressed file.
    """

    name: str
    size: int
    md5: str
    content_size: int
    content_sha256: str

    @property
    def content_name(self) -> str:
        """File name of the decompressed file."""
        return self.name.removesuffix(".gz")


ARCHIVES = (
    Archive(
        "train-images-idx3-ubyte.gz",
        9_912_422,
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        47_040_016,
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    Archive(
        "train-labels-idx1-ubyte.gz",
        28_881,
        "d53e105ee54ea40749a09fcbcd1e9432",
        60_008,
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    Archive(
        "t10k-images-idx3-ubyte.gz",
        1_648_877,
        "9fb629c4189551a2d022fa330f9573f3",
        7_840_016,
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    Archive(
        "t10k-labels-idx1-ubyte.gz",
        4_542,
        "ec29112dd5afa0611ce80d1b7f02629c",
        10_008,
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def default_data_dir() -> Path:
    """Return the default data folder: ``$ZOO_DATA`` if set, else ``zoo`` in the user's cache folder."""
    chosen = os.environ.get("ZOO_DATA")
    return expand_user(chosen) if chosen else _cache_folder()


def read_packaged(archive: Archive) -> bytes:
    """Return the content of an archive in the package, compressed with gzip.

    Raises:
        UsageError: The archive in the installed package is missing or damaged.
    """
    try:
        content = (files("zoo.data") / "archives" / archive.name).read_bytes()
    except OSError:
        content = b""
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != archive.md5:
        raise UsageError(f"The installed zoo's own copy of {archive.name} is damaged: install the package again.")
    return content


def write_for_torchvision(data_dir: Path) -> None:
    """Write MNIST, decompressed, to ``data_dir/MNIST/raw``, where torchvision's class reads it.

    Args:
        data_dir: A folder of the program's own. It must not hold MNIST already.
    """
    raw = data_dir / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for archive in ARCHIVES:
        (raw / archive.content_name).write_bytes(gzip.decompress(read_packaged(archive)))


def has_official_file(data_dir: Path) -> bool:
    """Return whether a file in ``data_dir/MNIST/raw`` is one of the official ones."""
    raw = data_dir / "MNIST" / "raw"
    for archive in ARCHIVES:
        for path, size, algorithm, digest in _expected(raw, archive):
            with contextlib.suppress(OSError):
                if _is_official(path, size, algorithm, digest):
                    return True
    return False


def check_folder(data_dir: Path) -> None:
    """Check that files with MNIST's names in ``data_dir/MNIST/raw`` are the official ones. Nothing is written.

    MNIST is read from the package. Other files under its names would not be used, and the user must know that. A folder
    that does not exist is no fault, nor is a cache folder that cannot be read, because nobody asked for it.

    Raises:
        UsageError: A file is not the official one, or the folder cannot be read.
    """
    raw = data_dir / "MNIST" / "raw"
    for archive in ARCHIVES:
        for path, size, algorithm, digest in _expected(raw, archive):
            _check_file(data_dir, path, size, algorithm, digest)


def _expected(raw: Path, archive: Archive) -> list[tuple[Path, int, str, str]]:
    """Return path, size in bytes, kind of digest and digest of an archive and of its decompressed file."""
    return [
        (raw / archive.name, archive.size, "md5", archive.md5),
        (raw / archive.content_name, archive.content_size, "sha256", archive.content_sha256),
    ]


def _check_file(data_dir: Path, path: Path, size: int, algorithm: str, digest: str) -> None:
    """Raise `UsageError` if a file exists and does not have this size in bytes and this digest."""
    try:
        if _is_official(path, size, algorithm, digest):
            return
    except FileNotFoundError:
        return
    except OSError as error:
        if data_dir == _cache_folder():
            return
        raise UsageError(f"Cannot read {path}: {error.strerror}; choose another data_dir.") from error
    raise UsageError(
        f"{path} is damaged, or not MNIST's official file: remove it, or name another data_dir, or take it as data of "
        "your own with --data.dataset own."
    )


def _is_official(path: Path, size: int, algorithm: str, digest: str) -> bool:
    """Return whether a file has this size in bytes and this digest.

    Raises:
        OSError: It is missing, or cannot be read.
    """
    found = path.stat()
    # The size first: a link may lead to a file that takes long to read, or to a device.
    if not stat.S_ISREG(found.st_mode) or found.st_size != size:
        return False
    version = (found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns)
    return _digest(path, algorithm, version) == digest


@functools.lru_cache(maxsize=2 * len(ARCHIVES))
def _digest(path: Path, algorithm: str, version: tuple[int, ...]) -> str:
    """Return the digest of a file, which is read once for each of its versions."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def _cache_folder() -> Path:
    return expand_user(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "zoo"
