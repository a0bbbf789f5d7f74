"""The zip archive around a checkpoint, as `torch.save` writes it: read with every byte that matters checked.

The zip format describes most things twice, and has flags and attributes that readers understand differently. Nothing of
it is handed on: `read_records` returns the checked parts, and `canonical_archive` makes a new archive of them.
"""

from __future__ import annotations

import io
import os
import re
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from zoo.utils.errors import UsageError

MAX_BYTES = 2**32 - 2**16
"""The largest checkpoint that is read. Up to this size, offsets in an archive take 32 bits."""

PICKLE = "data.pkl"
DATA = "data/"
"""How the names of the records with the memory of tensors begin."""
_NAME = re.compile(r"([ -.0-~]+)/(data\.pkl|version|byteorder|data/\d+|\.format_version|\.storage_alignment|"
                   r"\.data/serialization_id)")  # fmt: skip
# The records that `torch.load` needs. It writes the others for itself, or for readers of parts of a file.
_KEPT = re.compile(r"data\.pkl|version|byteorder|data/\d+")
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")
_DIRECTORY_HEADER = struct.Struct("<4s6H3I5H2I")
_END_RECORD = struct.Struct("<4s4H2IH")
_END_SIGNATURE = b"PK\x05\x06"
# Bit 3: size and checksum follow the data. Bit 11: the name is UTF-8. Torch sets both; neither has an effect here.
_HARMLESS_FLAGS = 0x0808
_DATA_DESCRIPTOR = 0x0008


@dataclass(frozen=True)
class Record:
    """A part of a checkpoint file.

    Attributes:
        data: Its bytes.
        crc: Their CRC-32, which has been compared.
    """

    data: memoryview
    crc: int


def read_records(path: Path) -> dict[str, Record]:
    """Read all parts of a checkpoint file, and check that it has the form in which torch writes one.

    Args:
        path: The file.

    Returns:
        Name, for example ``data.pkl`` or ``data/0``, to the part.

    Raises:
        UsageError: The file is missing, not regular, unreadable, too large or damaged.
    """
    try:
        data = _read_regular_file(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be read ({error.strerror}): check its permissions and its disk.") from error
    try:
        return _parse(data)
    except Exception as error:  # zipfile raises errors of many types for damaged archives
        raise damaged(path) from error


def damaged(path: Path) -> UsageError:
    """Return the error for a file whose content is not that of a checkpoint."""
    return UsageError(f"{path} is damaged, truncated or no checkpoint: take another copy of it.")


def canonical_archive(records: Mapping[str, Record]) -> bytes:
    """Return an archive with the records that `torch.load` reads, and with nothing else of the file they came from."""
    parts: list[bytes | memoryview] = []
    directory: list[bytes] = []
    offset = 0
    kept = [(f"archive/{name}".encode(), record) for name, record in records.items() if _KEPT.fullmatch(name)]
    for name, record in kept:
        size = len(record.data)
        common = (0, 0, 0, 0, 0, record.crc, size, size, len(name), 0)
        parts += [_LOCAL_HEADER.pack(b"PK\x03\x04", *common), name, record.data]
        directory += [_DIRECTORY_HEADER.pack(b"PK\x01\x02", 0, *common, 0, 0, 0, 0, offset), name]
        offset += _LOCAL_HEADER.size + len(name) + size
    length = sum(map(len, directory))
    end = _END_RECORD.pack(_END_SIGNATURE, 0, 0, len(kept), len(kept), length, offset, 0)
    return b"".join([*parts, *directory, end])


def _read_regular_file(path: Path) -> bytes:
    if path.is_dir():
        raise UsageError(f"{path} is a folder: name a checkpoint in it, as in checkpoints/last.ckpt.")
    if not path.is_file():
        raise UsageError(f"There is no checkpoint {path}: check the path, or train one with `zoo fit`.")
    # Without O_NONBLOCK, opening would wait if a pipe had taken the file's place in the meantime.
    with open(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"There is no checkpoint {path}: check the path, or train one with `zoo fit`.")
        if status.st_size > MAX_BYTES:
            raise UsageError(f"{path} has more than {MAX_BYTES >> 30} GiB, so it is no checkpoint of this zoo.")
        file.seek(-min(status.st_size, _END_RECORD.size), os.SEEK_END)
        if not file.read().startswith(_END_SIGNATURE):
            raise damaged(path)  # before gigabytes of something else are read
        file.seek(0)
        return file.read(status.st_size)


def _parse(data: bytes) -> dict[str, Record]:
    """Return the records of an archive.

    Raises:
        ValueError: The archive is not as torch writes one. `zipfile` raises other types, too.
    """
    signature, *_, comment_length = _END_RECORD.unpack(data[-_END_RECORD.size :])
    _require(signature == _END_SIGNATURE and comment_length == 0, "bytes follow the end of the archive")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries, directory_offset = archive.infolist(), archive.start_dir
    _require(len(entries) < 2**16, "too many parts")
    entries.sort(key=lambda entry: entry.header_offset)
    ends = [*(entry.header_offset for entry in entries[1:]), directory_offset]
    names = [_record_name(entry) for entry in entries]
    _require(len({folder for folder, _ in names}) == 1, "several top folders")
    records = {name: _read_record(data, entry, end) for (_, name), entry, end in zip(names, entries, ends, strict=True)}
    _require(len(records) == len(entries), "two parts have the same name")
    _require({PICKLE, "version"} <= records.keys(), "a part is missing")
    _check_values(records)
    return records


def _record_name(entry: zipfile.ZipInfo) -> tuple[str, str]:
    match = _NAME.fullmatch(entry.orig_filename)
    if match is None:
        raise ValueError("a part has a name that torch does not write")
    return match[1], match[2]


def _read_record(data: bytes, entry: zipfile.ZipInfo, end: int) -> Record:
    """Check an entry of the directory and its local header, and return the data, which must lie before ``end``."""
    meaningless = (entry.flag_bits & ~_HARMLESS_FLAGS, entry.external_attr, entry.internal_attr, entry.volume)
    _require(not any(meaningless) and not entry.extra and not entry.comment, "an entry has flags or attributes")
    _require(entry.compress_type == zipfile.ZIP_STORED, "a part is compressed")
    _require(entry.compress_size == entry.file_size, "a part has two sizes")
    signature, _, flags, method, _, _, *sums, name_length, extra_length = _LOCAL_HEADER.unpack_from(
        data, entry.header_offset
    )
    written = [entry.CRC, entry.file_size, entry.file_size]
    _require(signature == b"PK\x03\x04" and (flags, method) == (entry.flag_bits, 0), "a header differs")
    _require(sums == written or (bool(flags & _DATA_DESCRIPTOR) and sums == [0, 0, 0]), "a header has other sizes")
    start = entry.header_offset + _LOCAL_HEADER.size
    _require(data[start : start + name_length] == entry.orig_filename.encode("ascii"), "a header has another name")
    start += name_length + extra_length
    _require(start + entry.file_size <= end, "a part reaches into the next one")
    content = memoryview(data)[start : start + entry.file_size]
    _require(zlib.crc32(content) == entry.CRC, "a checksum is wrong")
    return Record(content, entry.CRC)


def _check_values(records: Mapping[str, Record]) -> None:
    """Check the records that are no data: a number, or the order of bytes."""
    allowed: dict[str, Iterable[bytes]] = {
        "version": [b"%d\n" % number for number in range(1, 11)],
        "byteorder": [b"little", b"big"],
    }
    for name, values in allowed.items():
        _require(name not in records or bytes(records[name].data) in values, f"{name} has an unknown value")


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise ValueError(reason)
