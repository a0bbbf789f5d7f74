"""Reading of idx files, the format of MNIST: a header with the type and the sizes, then the numbers."""

from __future__ import annotations

import io
import math
import struct
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.gzip_stream import GzipStream
from zoo.data.reading_errors import reported
from zoo.utils.files import open_file

MAX_NUMBERS = 70_000 * 28 * 28
"""More than any file of the data sets holds."""
MAX_ITEM_BYTES = 4
OTHER_BYTES = 1 << 20
"""Of a compressed file, beside the numbers: for headers, names and padding."""
GZIP_MAGIC = b"\x1f\x8b"
_TYPES: dict[int, np.dtype[Any]] = {0x08: np.dtype("u1"), 0x0C: np.dtype(">i4")}
_MAX_DIMENSIONS = 3
_CHUNK = 1 << 18


def read_idx(path: Path, max_numbers: int = MAX_NUMBERS) -> Tensor:
    """Read an idx file, plain or compressed with gzip, whatever its name says.

    No more is read, decompressed and kept in memory than the header promises.

    Args:
        path: A regular file, or a symbolic link to one.
        max_numbers: Most numbers that the file may hold.

    Returns:
        uint8 or int32, with 1 to 3 dimensions.

    Raises:
        UsageError: The file is missing, cannot be read, is not a regular file, or is no whole idx file of this kind.
    """
    with reported(path, "an idx file", "remove it, or replace it"), open_file(path) as file:
        if file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
            stream = GzipStream(file, MAX_ITEM_BYTES * max_numbers + OTHER_BYTES)
            return decode_idx(io.BufferedReader(stream, _CHUNK), max_numbers)
        return decode_idx(file, max_numbers)


def decode_idx(stream: BufferedIOBase, max_numbers: int = MAX_NUMBERS) -> Tensor:
    """Read the content of an idx file from a stream, which must end where the numbers do.

    Args:
        stream: A file that is open for reading, or a `gzip.GzipFile`.
        max_numbers: Most numbers that it may hold.

    Returns:
        uint8 or int32, with 1 to 3 dimensions.

    Raises:
        ValueError: The content is too short, too long or too large, or of another type. The message is a clause.
        OSError, EOFError, zlib.error: The stream cannot be read or decompressed.
    """
    start = stream.read(4)
    if len(start) < 4 or start[:2] != b"\0\0" or start[2] not in _TYPES or not 1 <= start[3] <= _MAX_DIMENSIONS:
        raise ValueError("it does not begin with the header of uint8 or int32 numbers in 1 to 3 dimensions")
    sizes_length = 4 * start[3]
    packed_sizes = stream.read(sizes_length)
    if len(packed_sizes) < sizes_length:
        raise ValueError("it ends within its header")
    sizes = struct.unpack(f">{start[3]}I", packed_sizes)
    if not 1 <= math.prod(sizes) <= max_numbers:
        shape = " × ".join(f"{size:,}" for size in sizes)
        raise ValueError(f"its header promises {shape} numbers, but it must be 1 to {max_numbers:,}")
    dtype = _TYPES[start[2]]
    content = bytearray(math.prod(sizes) * dtype.itemsize)
    _fill(memoryview(content), stream)
    if stream.read(1):
        raise ValueError("it is longer than its header promises")
    numbers = np.frombuffer(content, dtype=dtype).reshape(sizes)
    return torch.from_numpy(numbers.astype(dtype.newbyteorder("="), copy=False))


def _fill(content: memoryview, stream: BufferedIOBase) -> None:
    """Fill a buffer from a stream, in pieces that stay in the processor's cache."""
    filled = 0
    while filled < len(content):
        count = stream.readinto(content[filled : filled + _CHUNK])
        if not count:
            raise ValueError("it is shorter than its header promises")
        filled += count
