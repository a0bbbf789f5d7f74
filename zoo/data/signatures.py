"""What a file of data is, recognized by its first bytes."""

from __future__ import annotations

import io
from pathlib import Path

from zoo.data.gzip_stream import GzipStream
from zoo.data.idx import GZIP_MAGIC
from zoo.data.picture_formats import START_BYTES, other_format
from zoo.utils.files import open_file

_SIGNATURES = (
    (0, b"PK\x03\x04", "npz"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"PAR1", "parquet"),
    (0, b"\0\0\x08", "idx"),
    (0, b"\0\0\x09", "idx"),
    (0, b"\0\0\x0b", "idx"),
    (0, b"\0\0\x0c", "idx"),
    (0, b"\0\0\x0d", "idx"),
    (0, b"\0\0\x0e", "idx"),
    (0, b"\x89PNG", "a picture, for `zoo classify`"),
    (0, b"\xff\xd8\xff", "a picture, for `zoo classify`"),
    (0, b"GIF8", "a picture, for `zoo classify`"),
    (0, b"MATLAB 5.0", "a MATLAB file, beside which EMNIST is published as idx files"),
    (257, b"ustar", "a tar archive, which must be unpacked"),
    (0, b"ARROW1", "an Arrow file, which can be saved as Parquet"),
    (0, b"BZh", "compressed with bzip2, and must be unpacked"),
    (0, b"\xfd7zXZ", "compressed with xz, and must be unpacked"),
    (0, b"\x28\xb5\x2f\xfd", "compressed with Zstandard, and must be unpacked"),
    (0, b"7z\xbc\xaf", "a 7z archive, which must be unpacked"),
    (0, b"Rar!", "a RAR archive, which must be unpacked"),
    (0, b"SQLite format 3", "a database"),
)
_PICKLE = tuple(b"\x80" + bytes([version]) for version in range(1, 6))


def kind_of(path: Path) -> str:
    """Return ``npz``, ``parquet``, ``idx`` or ``csv``, or what else a file is: a noun with its article.

    A file that is compressed with gzip is looked into. Text is taken as CSV.

    Raises:
        UsageError: It is no file, but a pipe or a device.
        ValueError: It is empty. The message is a clause.
        EOFError, zlib.error: It is compressed and damaged.
        OSError: It cannot be read.
    """
    with open_file(path) as file:
        packed = file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
        stream = io.BufferedReader(GzipStream(file, 1 << 20)) if packed else file
        start = stream.read(START_BYTES)
    if not start:
        raise ValueError("it is empty")
    if start.startswith(_PICKLE):
        return "a pickle, which can run code when it is read"
    found = next((kind for offset, signature, kind in _SIGNATURES if start.startswith(signature, offset)), None)
    found = found or other_format(start)
    if found is None and b"\0" in start:
        return "of an unknown format"
    if packed and found in ("npz", "parquet"):
        return "compressed with gzip, and must be unpacked"
    return found or "csv"
