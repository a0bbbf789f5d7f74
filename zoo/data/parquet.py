"""Reading of Parquet files as the Hugging Face hub has them: encoded pictures and labels, by pyarrow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data.examples import CHUNK, MAX_IMAGES, Examples, to_labels
from zoo.data.pixel_files import read_pixels, to_levels
from zoo.utils.errors import UsageError
from zoo.utils.files import open_file
from zoo.utils.wording import install_extra

IMAGE_NAMES, LABEL_NAMES = ("image", "img", "images"), ("label", "labels", "digit", "class")
"""Names of columns."""
MAX_BYTES = 4 << 30
"""Of the decompressed columns of all files."""


def read_parquet(paths: Sequence[Path]) -> Examples:
    """Read the rows of one or more Parquet files, in this order.

    A row has a picture of 28×28 pixels as the bytes of a file, by themselves or in a struct under ``bytes``, and maybe
    a label.

    Raises:
        UsageError: pyarrow is not installed.
        ValueError: A file is damaged, too large, or has other columns. The message is a clause.
        OSError: A file cannot be read.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise UsageError(f"Reading {paths[0]} needs pyarrow: {install_extra('parquet')}.") from error
    images: list[Tensor] = []
    labels: list[Any] = []
    for path in paths:
        try:
            _read_rows(path, images, labels)
        except ValueError as error:
            raise ValueError(f"{path.name}: {error}" if len(paths) > 1 else str(error)) from error
    if labels and not all(isinstance(label, int) for label in labels):
        raise ValueError("its labels include other things than whole numbers of 0 to 9")
    pixels = torch.stack(images)
    return Examples(
        pixels,
        to_labels(np.array(labels), len(pixels)) if labels else None,
        (float(pixels.min()), float(pixels.max())),
    )


def _read_rows(path: Path, images: list[Tensor], labels: list[Any]) -> None:
    """Append the pictures, uint8 ``(28, 28)``, and the labels of a file."""
    import pyarrow.parquet

    with open_file(path) as file:
        try:
            table = pyarrow.parquet.ParquetFile(file)
            groups = [table.metadata.row_group(index) for index in range(table.metadata.num_row_groups)]
            if not 1 <= len(images) + table.metadata.num_rows <= MAX_IMAGES:
                raise ValueError(f"it holds no rows, or more than {MAX_IMAGES:,}")
            if sum(group.total_byte_size for group in groups) > MAX_BYTES:
                raise ValueError(f"it has more than {MAX_BYTES >> 30} GiB")
            picture, label = _columns(table.schema_arrow.names)
            before = len(images)
            for batch in table.iter_batches(batch_size=CHUNK, columns=[picture, *([label] if label else [])]):
                for cell in batch.column(picture).to_pylist():
                    images.append(_read_picture(cell, len(images)))
                if label:
                    labels += batch.column(label).to_pylist()
            if len(images) - before != table.metadata.num_rows:
                raise ValueError("it is damaged: it holds fewer rows than it says")
        except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:  # some are ValueErrors too
            raise ValueError("it is damaged, or no Parquet file") from error


def _columns(names: Sequence[str]) -> tuple[str, str | None]:
    """Return the names of the columns of pictures and of labels."""
    known = {name.lower(): name for name in names}
    pictures, labels = ([known[name] for name in each if name in known] for each in (IMAGE_NAMES, LABEL_NAMES))
    if not pictures:
        raise ValueError(f"it has the columns {', '.join(names)}, and none of the name image with pictures")
    return pictures[0], labels[0] if labels else None


def _read_picture(cell: Any, row: int) -> Tensor:
    content = cell.get("bytes") if isinstance(cell, dict) else cell
    if not isinstance(content, bytes):
        raise ValueError(f"its row {row:,} holds no bytes of a picture")
    try:
        return to_levels(read_pixels(content))
    except UsageError as error:
        raise ValueError(f"of its row {row:,}, {str(error)[:1].lower()}{str(error)[1:].rstrip('.')}") from error
