"""CSV files of many programs are read alike, others are refused with the line, and work and memory are bounded."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.data.test_idx import peak_memory
from tests.user_files import csv_text, make_part
from zoo.data import csv_tables
from zoo.data.csv_tables import read_csv
from zoo.data.reading_errors import read_reported
from zoo.utils.errors import UsageError

IMAGES, LABELS = make_part(12)
TEXT = csv_text((IMAGES, LABELS))


def refused(reason: str) -> None:
    with pytest.raises(UsageError, match=rf"^file\.csv cannot be read as data: .*{reason}"):
        read_reported(Path("file.csv"), read_csv, Path("file.csv"))


def label_last(text: str) -> str:
    return "\n".join(",".join([*cells[1:], cells[0]]) for cells in map(lambda line: line.split(","), text.split()))


def quoted(text: str) -> str:
    return "\n".join(",".join(f'"{cell}"' for cell in line.split(",")) for line in text.split())


@pytest.mark.parametrize(
    "change",
    [
        str,
        label_last,
        quoted,
        str.upper,
        lambda text: text.partition("\n")[2],
        lambda text: text.replace(",", "\t"),
        lambda text: text.replace(",", ", "),
        lambda text: text.replace(",0,", ",0.0,"),
        lambda text: text.replace("\r\n", "\n\n"),
        lambda text: text.rstrip(),
        lambda text: "\ufeff" + text,
    ],
)
def test_forms_of_other_programs_are_read_alike(change: Callable[[str], str]) -> None:
    Path("file.csv").write_text(change(TEXT), encoding="utf-8")
    examples = read_csv(Path("file.csv"))
    assert np.array_equal(examples.images.numpy(), IMAGES)
    assert examples.labels is not None
    assert np.array_equal(examples.labels.numpy(), LABELS)
    assert examples.levels == (0, 255)


def test_more_lines_than_are_read_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_tables, "CHUNK", 5)
    Path("file.csv").write_text(TEXT)
    assert np.array_equal(read_csv(Path("file.csv")).images.numpy(), IMAGES)
    monkeypatch.setattr(csv_tables, "MAX_IMAGES", 11)
    refused("more than 11 lines")


LINES = TEXT.split()


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "it is empty"),
        (LINES[:1], "no line but its heading"),
        ([LINES[0], "1,2"], "its line 2 has 2 columns, and the first has 785"),
        ([*LINES[:3], LINES[3].replace(",255,", ",a\x1b,", 1)], r"its line 4 holds 'a\\x1b' where a number"),
        ([*LINES[:3], f"11{LINES[3][1:]}"], "its labels include 11"),
        ([*LINES[:3], f"1.5{LINES[3][1:]}"], "its labels include 1.5"),
        ([*LINES[:3], LINES[3].replace(",255,", ",256,", 1)], "its pixels include 256"),
        ([*LINES[:3], LINES[3].replace(",255,", ",nan,", 1)], "not finite"),
        ([line.rpartition(",")[0] for line in LINES], "its first line has 784 columns"),
        (["<html>"], "its first line has 1 columns"),
    ],
)
def test_other_tables_are_refused(lines: list[str], reason: str) -> None:
    Path("file.csv").write_text("\n".join(lines))
    refused(reason)


def test_a_long_line_and_a_large_file_are_refused_at_once() -> None:
    with gzip.open("file.csv", "wb", compresslevel=1) as file:
        for _ in range(100):
            file.write(b"1," * 500_000)
    assert peak_memory(lambda: refused("its line 1 has more than 65,536 bytes")) < 3_000_000
    with Path("file.csv").open("wb") as file:
        file.truncate(2**40)  # takes no place on the disk
    assert peak_memory(lambda: refused("more than 2 GiB")) < 1_000_000
