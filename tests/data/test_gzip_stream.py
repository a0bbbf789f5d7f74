"""Files compressed with gzip that ask for much work are refused at once."""

from __future__ import annotations

import gzip
import time
from pathlib import Path

import numpy as np
import pytest

from tests.helpers import idx_bytes
from zoo.data.idx import OTHER_BYTES, read_idx
from zoo.utils.errors import UsageError

CONTENT = gzip.compress(idx_bytes(np.zeros(9, np.uint8)))
NAME = b"\x1f\x8b\x08\x08" + bytes(6)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(b"") * 500_000, "it consists of more than 1,000 parts"),
        (CONTENT + gzip.compress(b"") * 500_000, "it consists of more than 1,000 parts"),
        (CONTENT + bytes(30_000_000), "it is longer than any file of this kind"),
        (NAME + b"a" * 30_000_000, "it is longer than any file of this kind"),
    ],
)
def test_file_of_many_parts_or_without_content_is_refused_at_once(content: bytes, reason: str) -> None:
    Path("file").write_bytes(content)
    started = time.process_time()
    with pytest.raises(UsageError, match=f"^file cannot be read as an idx file: {reason}; remove it, or replace it.$"):
        read_idx(Path("file"), max_numbers=1000)
    assert time.process_time() - started < 1


def test_padding_names_and_parts_of_honest_files_are_read() -> None:
    for content in (CONTENT, CONTENT + bytes(OTHER_BYTES // 2), gzip.compress(b"") * 900 + CONTENT + bytes(9)):
        Path("file").write_bytes(content)
        assert read_idx(Path("file")).tolist() == [0] * 9
    with gzip.open("named", "wb") as file:
        file.write(gzip.decompress(CONTENT))
    assert read_idx(Path("named")).tolist() == [0] * 9
