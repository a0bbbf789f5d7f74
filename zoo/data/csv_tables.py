"""Reading of CSV files such as Kaggle's ``train.csv``: a line per image, with 784 pixels and maybe a label."""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from zoo.data.examples import CHUNK, MAX_IMAGES, PIXELS, Examples, GreyLevels, to_images, to_labels
from zoo.data.gzip_stream import GzipStream
from zoo.data.idx import GZIP_MAGIC
from zoo.utils.files import open_file

MAX_BYTES = 2 << 30
"""Of the decompressed text."""
MAX_LINE_BYTES = 1 << 16
LABEL_NAMES = frozenset({"label", "labels", "class", "target", "digit", "y"})
INDEX_NAMES = frozenset({"", "id", "imageid", "index", "unnamed: 0"})
"""Headings of columns that number the lines."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Columns:
    """Where the values stand in a line.

    Args:
        count: Number of columns.
        label: Position of the label; None if there is none.
        pixels: Positions of the pixels.
        delimiter: What separates the columns.
        has_heading: Whether the first line names the columns.
    """

    count: int
    label: int | None
    pixels: list[int]
    delimiter: str
    has_heading: bool


def read_csv(path: Path) -> Examples:
    """Read a CSV file, plain or compressed with gzip, with or without a heading and labels.

    The values are separated by commas, semicolons or tabs. Without a heading, the first of 785 columns is the label.

    Raises:
        ValueError: It is damaged, too large, or no such table. The message is a clause.
        EOFError, zlib.error: Its compressed content is damaged.
        OSError: It cannot be read.
    """
    with open_file(path) as file:
        stream: BinaryIO = file
        if file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC):
            stream = cast(BinaryIO, io.BufferedReader(GzipStream(file, MAX_BYTES)))
        elif file.seek(0, io.SEEK_END) > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 30} GiB")
        else:
            file.seek(0)
        return _read_lines(_lines(stream))


def _read_lines(lines: Iterator[tuple[int, str]]) -> Examples:
    first = next(lines, None)
    if first is None:
        raise ValueError("it is empty")
    columns = _columns(first[1])
    if not columns.has_heading:
        lines = chain([first], lines)
    levels, images, labels, count = GreyLevels(), [], [], 0
    while batch := list(islice(lines, CHUNK)):
        count += len(batch)
        if count > MAX_IMAGES:
            raise ValueError(f"it has more than {MAX_IMAGES:,} lines")
        numbers = _numbers(batch, columns)
        images.append(levels.convert(numbers[:, columns.pixels]))
        if columns.label is not None:
            labels.append(numbers[:, columns.label])
    if not count:
        raise ValueError("it has no line but its heading")
    return Examples(
        to_images(np.concatenate(images)),
        to_labels(np.concatenate(labels), count) if labels else None,
        (levels.lowest, levels.highest),
    )


def _lines(stream: BinaryIO) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers from 1."""
    total, number = 0, 0
    while line := stream.readline(MAX_LINE_BYTES + 1):
        total, number = total + len(line), number + 1
        if len(line) > MAX_LINE_BYTES:
            raise ValueError(f"its line {number:,} has more than {MAX_LINE_BYTES:,} bytes")
        if total > MAX_BYTES:
            raise ValueError(f"it has more than {MAX_BYTES >> 30} GiB")
        if number == 1:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if text := line.decode("latin-1").strip("\r\n"):
            yield number, text


def _columns(line: str) -> Columns:
    """Find the columns by the first line."""
    delimiter = max(",;\t", key=line.count)
    cells = [cell.strip().strip('"').strip() for cell in line.split(delimiter)]
    names = [cell.lower() for cell in cells]
    has_heading = not all(map(_is_number, cells))
    if has_heading:
        labels = [index for index, name in enumerate(names) if name in LABEL_NAMES]
        pixels = [index for index, name in enumerate(names) if name not in LABEL_NAMES | INDEX_NAMES]
    else:
        labels = [0] if len(cells) == PIXELS + 1 else []
        pixels = [index for index in range(len(cells)) if index not in labels]
    if len(pixels) != PIXELS or len(labels) > 1:
        raise ValueError(
            f"its first line has {len(cells):,} columns, but there must be 784 pixels and at most one label"
        )
    return Columns(len(cells), labels[0] if labels else None, pixels, delimiter, has_heading)


def _numbers(batch: list[tuple[int, str]], columns: Columns) -> NDArray[np.float32]:
    """Return the numbers ``(lines, columns)``."""
    try:
        numbers = np.loadtxt(
            [line for _, line in batch],
            dtype=np.float32,
            delimiter=columns.delimiter,
            comments=None,
            quotechar='"',
            ndmin=2,
        )
    except ValueError:
        raise ValueError(_fault(batch, columns)) from None
    if numbers.shape != (len(batch), columns.count):
        raise ValueError(_fault(batch, columns))
    return numbers


def _fault(batch: list[tuple[int, str]], columns: Columns) -> str:
    """Say which line is wrong."""
    for number, line in batch:
        cells = [cell.strip().strip('"') for cell in line.split(columns.delimiter)]
        if len(cells) != columns.count:
            return f"its line {number:,} has {len(cells):,} columns, and the first has {columns.count:,}"
        for cell in cells:
            if not _is_number(cell):
                return f"its line {number:,} holds {cell[:20]!r} where a number must be"
    return f"its lines {batch[0][0]:,} to {batch[-1][0]:,} are no numbers in columns"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
