"""Helpers for tests that change the bytes of a checkpoint: where the fields of a zip file are, and a small run."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from zoo.runs.checkpoint import AtomicCheckpointIO, read_checkpoint
from zoo.runs.container import Record, canonical_archive
from zoo.utils.errors import UsageError

# Offset and size of the fields of a header, as the zip format defines them.
LOCAL_FIELDS = {
    "signature": (0, 4),
    "version": (4, 2),
    "flags": (6, 2),
    "method": (8, 2),
    "time": (10, 2),
    "date": (12, 2),
    "crc": (14, 4),
    "compressed size": (18, 4),
    "size": (22, 4),
    "name length": (26, 2),
    "extra length": (28, 2),
}
DIRECTORY_FIELDS = {
    "signature": (0, 4),
    "version made by": (4, 2),
    "version needed": (6, 2),
    "flags": (8, 2),
    "method": (10, 2),
    "time": (12, 2),
    "date": (14, 2),
    "crc": (16, 4),
    "compressed size": (20, 4),
    "size": (24, 4),
    "name length": (28, 2),
    "extra length": (30, 2),
    "comment length": (32, 2),
    "disk": (34, 2),
    "internal attributes": (36, 2),
    "external attributes": (38, 4),
    "offset": (42, 4),
}
END_FIELDS = {
    "signature": (0, 4),
    "disk": (4, 2),
    "disk of directory": (6, 2),
    "entries on disk": (8, 2),
    "entries": (10, 2),
    "directory size": (12, 4),
    "directory offset": (16, 4),
    "comment length": (20, 2),
}
# What a run needs to have batch norm, dropout, a schedule and Adam's state in its checkpoints, and few bytes.
SMALL = ["--config", "dropout_batchnorm", "--model.hidden_sizes", "[3]", "--model.lr_schedule", "cosine"]
SMALL += ["--data.num_train", "300", "--trainer.accelerator", "cpu"]


@dataclass
class Entry:
    """Where an entry of an archive is: its header, its data and its header in the directory."""

    name: str
    header: int
    data: int
    size: int
    directory: int


def entries_of(archive: bytes) -> list[Entry]:
    """Return the entries of an archive that torch wrote, in the order of the directory."""
    position = int.from_bytes(archive[-6:-2], "little")
    found = []
    while archive[position : position + 4] == b"PK\x01\x02":

        def number(field: str, position: int = position) -> int:
            offset, size = DIRECTORY_FIELDS[field]
            return int.from_bytes(archive[position + offset : position + offset + size], "little")

        header, name_length = number("offset"), number("name length")
        lengths = [int.from_bytes(archive[header + at : header + at + 2], "little") for at in (26, 28)]
        name = archive[position + 46 : position + 46 + name_length].decode()
        found.append(Entry(name, header, header + 30 + sum(lengths), number("size"), position))
        position += 46 + name_length
    return found


def replaced(archive: bytes, position: int, new: bytes) -> bytes:
    """Return the archive with other bytes at a position."""
    return archive[:position] + new + archive[position + len(new) :]


def flipped(archive: bytes, bit: int) -> bytes:
    """Return the archive with one bit changed."""
    return replaced(archive, bit // 8, bytes([archive[bit // 8] ^ 1 << bit % 8]))


def fingerprint(value: Any) -> Any:
    """Return a value that is equal for equal contents: tensors bit by bit, and all types."""
    if isinstance(value, torch.Tensor):
        content = value.detach().contiguous().flatten().view(torch.uint8).numpy().tobytes()
        return "tensor", str(value.dtype), tuple(value.shape), value.stride(), content
    if isinstance(value, dict):
        return type(value), [(fingerprint(name), fingerprint(item)) for name, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [fingerprint(item) for item in value]
    return type(value), repr(value)


def content_or_refusal(path: Path) -> Any:
    """Read a file as the verbs and as Lightning do, and return the content's fingerprint; None if it is refused."""
    readers: list[Callable[[], Any]] = [
        lambda: read_checkpoint(path).content,
        lambda: AtomicCheckpointIO().load_checkpoint(path),
    ]
    results = []
    for read in readers:
        try:
            results.append(fingerprint(read()))
        except UsageError as error:
            results.append(None if str(error).count("\n") == 0 else str(error))
    assert (results[0] is None) == (results[1] is None)
    return results[0]


def write_archive(path: Path, pickled: bytes, *memories: bytes) -> None:
    """Write a checkpoint whose container is as it should be, whatever the pickle in it says."""
    parts = {"data.pkl": pickled, "byteorder": b"little", "version": b"3\n"}
    parts |= {f"data/{number}": memory for number, memory in enumerate(memories)}
    records = {name: Record(memoryview(data), zlib.crc32(data)) for name, data in parts.items()}
    path.write_bytes(canonical_archive(records))


def pickle_of(path: Path) -> bytes:
    """Return the pickle in a checkpoint."""
    with zipfile.ZipFile(path) as archive:
        return archive.read("archive/data.pkl")
