"""The reader of idx files: what it reads, what it refuses, and that it refuses at once."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import idx_bytes
from zoo.data.idx import read_idx
from zoo.utils.errors import UsageError

IMAGES = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype(np.uint8)
CONTENT = idx_bytes(IMAGES)


@pytest.mark.parametrize("compress", [bytes, gzip.compress])
@pytest.mark.parametrize("shape", [(12,), (3, 4), (2, 3, 2)])
@pytest.mark.parametrize("dtype", [np.uint8, np.int32])
def test_numbers_are_read_as_they_were_written(
    dtype: type[np.generic], shape: tuple[int, ...], compress: Callable[[bytes], bytes]
) -> None:
    numbers = (np.arange(12) * (1 if dtype is np.uint8 else -1_000_003)).astype(dtype).reshape(shape)
    Path("file").write_bytes(compress(idx_bytes(numbers)))
    found = read_idx(Path("file"))
    assert torch.equal(found, torch.from_numpy(numbers))
    assert found.dtype == (torch.uint8 if dtype is np.uint8 else torch.int32)
    found[0] = 0  # the tensor's memory is its own


def test_archive_of_several_parts_and_padding_is_read() -> None:
    Path("file.gz").write_bytes(gzip.compress(CONTENT[:1000]) + gzip.compress(CONTENT[1000:]) + b"\0" * 100)
    assert torch.equal(read_idx(Path("file.gz")), torch.from_numpy(IMAGES))


def test_link_to_a_file_is_read() -> None:
    Path("elsewhere").write_bytes(CONTENT)
    Path("link").symlink_to("elsewhere")
    assert torch.equal(read_idx(Path("link")), torch.from_numpy(IMAGES))


def flip(content: bytes, position: int) -> bytes:
    return content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :]


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0",
        CONTENT[:10],
        CONTENT[:-1],
        CONTENT + b"\0",
        b"\x89PNG\r\n\x1a\n" + CONTENT,
        struct.pack(">BBBBI", 0, 0, 0x0D, 1, 4) + bytes(16),  # float32
        struct.pack(">BBBB4I", 0, 0, 8, 4, 1, 1, 1, 1) + b"\0",
        struct.pack(">BBBBI", 0, 0, 8, 1, 0),
        gzip.compress(CONTENT)[:-1],
        gzip.compress(CONTENT)[:-100],
        gzip.compress(CONTENT[:-1]),
        gzip.compress(CONTENT + b"\0"),
        gzip.compress(CONTENT) + b"more",
        gzip.compress(gzip.compress(CONTENT)),
        flip(gzip.compress(CONTENT), -5),  # of the length
        flip(gzip.compress(CONTENT), -8),  # of the checksum
        flip(gzip.compress(CONTENT), 30),
        b"\x1f\x8b",
    ],
)
def test_damaged_file_is_refused_by_name(content: bytes) -> None:
    Path("file").write_bytes(content)
    with pytest.raises(
        UsageError, match=r"file cannot be read as an idx file: .*; remove it, or replace it\.$"
    ) as error:
        read_idx(Path("file"))
    assert "\n" not in str(error.value)
    assert Path("file").read_bytes() == content


@pytest.mark.parametrize("sizes", [(2**32 - 1, 2**32 - 1, 2**32 - 1), (70_001, 28, 28), (60_000, 280, 280)])
def test_size_in_the_header_is_not_believed(sizes: tuple[int, ...]) -> None:
    header = struct.pack(">BBBB3I", 0, 0, 8, 3, *sizes)
    for content in (header, gzip.compress(header)):
        Path("file").write_bytes(content)
        assert peak_memory(lambda: refused("file", "its header promises")) < 1_000_000


def test_compressed_file_costs_no_more_memory_than_its_header_promises() -> None:
    with gzip.open("bomb", "wb", compresslevel=1) as file:
        file.write(struct.pack(">BBBB3I", 0, 0, 8, 3, 10, 28, 28))
        for _ in range(100):
            file.write(bytes(1_000_000))
    assert peak_memory(lambda: refused("bomb", "longer than its header promises")) < 2_000_000


def test_caller_can_set_a_bound() -> None:
    Path("file").write_bytes(CONTENT)
    assert len(read_idx(Path("file"), max_numbers=IMAGES.size)) == 2
    with pytest.raises(UsageError, match="it must be 1 to 1,567"):
        read_idx(Path("file"), max_numbers=IMAGES.size - 1)


@pytest.mark.parametrize("make", [os.mkfifo, Path.mkdir, lambda path: path.symlink_to("/dev/zero")])
def test_what_is_no_file_is_refused_unopened(make: Callable[[Path], object]) -> None:
    make(Path("file"))
    refused("file", "file is no file, but a folder, a pipe or a device")


def test_missing_file_and_link_to_itself_are_refused() -> None:
    refused("file", "Cannot read file: No such file or directory; name another data_dir")
    Path("file").symlink_to("file")
    refused("file", "Cannot read file: Too many levels of symbolic links")


def refused(name: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_idx(Path(name))


def peak_memory(call: Callable[[], object]) -> int:
    """Return the most bytes that Python and numpy allocate during a call."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
