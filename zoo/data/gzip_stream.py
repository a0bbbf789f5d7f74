"""Decompression of gzip files whose content nobody vouches for, in bounded time."""

from __future__ import annotations

import io
import zlib
from typing import BinaryIO

MAX_MEMBERS = 1000
"""Parts of a file, each compressed by itself. Files of MNIST's kind have one; programs that work in parallel write
hundreds. An empty part takes 20 bytes."""
_CHUNK = 1 << 18
_GZIP = 16 + zlib.MAX_WBITS


class GzipStream(io.RawIOBase):
    """The decompressed content of a gzip file, as a stream.

    Unlike `gzip.GzipFile`, it does not go through headers, empty parts and padding byte by byte.

    Args:
        file: The compressed file.
        max_bytes: Most compressed bytes that are read.

    Raises:
        ValueError: The file is longer or has too many parts; the message is a clause. Raised by reading.
        EOFError: The file ends within a part. Raised by reading.
        zlib.error: The file is damaged. Raised by reading.
    """

    def __init__(self, file: BinaryIO, max_bytes: int) -> None:
        super().__init__()
        self._file = file
        self._left = max_bytes
        self._members = 1
        self._inflate = zlib.decompressobj(_GZIP)
        self._packed = b""

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: bytearray | memoryview) -> int:  # type: ignore[override]
        """Fill a buffer as far as one step of decompression does, and return the number of bytes; 0 at the end."""
        while True:
            if self._inflate.eof and not self._begin_member():
                return 0
            self._packed = self._packed or self._fetch()
            if not self._packed:
                raise EOFError
            content = self._inflate.decompress(self._packed, len(buffer))
            self._packed = self._inflate.unused_data if self._inflate.eof else self._inflate.unconsumed_tail
            if content:
                buffer[: len(content)] = content
                return len(content)

    def _begin_member(self) -> bool:
        """Go to the next part, after padding with zeros; return whether there is one."""
        while not (packed := self._packed.lstrip(b"\0")):
            self._packed = self._fetch()
            if not self._packed:
                return False
        self._packed = packed
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise ValueError(f"it consists of more than {MAX_MEMBERS:,} parts")
        self._inflate = zlib.decompressobj(_GZIP)
        return True

    def _fetch(self) -> bytes:
        content = self._file.read(min(_CHUNK, self._left + 1))
        self._left -= len(content)
        if self._left < 0:
            raise ValueError("it is longer than any file of this kind")
        return content
