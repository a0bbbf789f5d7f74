"""A file that can be read only so often, for decoders that believe what a file says of itself."""

from __future__ import annotations

import io
from typing import BinaryIO

MAX_READS = 500_000
"""A picture of 50 megapixels in chunks of 8 KiB takes a fifth of it. Millions of tiny parts would take minutes."""


class BoundedReader:
    """A binary file that raises `TooMuchWorkError` where a decoder reads it too often, or the same bytes many times.

    The limits are counts and not seconds, so that a file is read or refused alike on every machine.

    Args:
        file: A file that is open for reading and can be sought in.
        max_reads: Most calls of `read`.
    """

    def __init__(self, file: BinaryIO, max_reads: int = MAX_READS) -> None:
        self._file = file
        self._reads = max_reads
        self._bytes = 3 * file.seek(0, io.SEEK_END) + (1 << 20)
        file.seek(0)

    def read(self, size: int = -1) -> bytes:
        """Return the next ``size`` bytes, or all that are left if it is negative.

        Raises:
            TooMuchWorkError: The limit is reached.
        """
        content = self._file.read(size)
        self._reads -= 1
        self._bytes -= len(content)
        if self._reads < 0 or self._bytes < 0:
            raise TooMuchWorkError
        return content

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position, as files do."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Return the position."""
        return self._file.tell()


class TooMuchWorkError(Exception):
    """A decoder read a file more often than any honest file needs."""
