"""Reading of Keras' ``mnist.npz`` and files like it: a zip archive of NumPy arrays, of which nothing is executed."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from zoo.data.examples import (
    CHUNK,
    MAX_IMAGES,
    PIXELS,
    Examples,
    GreyLevels,
    Numbers,
    count_images,
    to_images,
    to_labels,
)
from zoo.utils.checks import join_names
from zoo.utils.files import open_file

NAMES = {
    "train": (("x_train", "train_images", "train_x"), ("y_train", "train_labels", "train_y")),
    "test": (("x_test", "test_images", "test_x"), ("y_test", "test_labels", "test_y")),
    "only": (("x", "images", "data"), ("y", "labels", "targets")),
}
"""Names of the arrays of a part: of its images and of its labels."""
MAX_ARRAYS = 100
_END_RECORD = struct.Struct("<4s4H2IH")
_ZIP64_LOCATOR = b"PK\x06\x07"
_ZIP64_LOCATOR_SIZE = 20
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Ways of compression of which Python decompresses no more than it is asked for."""


def parts_of_npz(path: Path) -> list[str]:
    """Return the parts that an archive holds, keys of `NAMES`.

    Raises:
        ValueError: It cannot be read, or holds none. The message is a clause.
        OSError: It cannot be read.
    """
    with open_file(path) as file, _open_archive(file) as archive:
        arrays = _arrays(archive)
    found = [part for part, (images, _) in NAMES.items() if any(name in arrays for name in images)]
    if not arrays:
        raise ValueError("it is a zip archive of other files than arrays: unpack it and name its folder")
    if not found:
        raise ValueError(
            f"it holds {join_names(sorted(arrays))}, but images are called x_train and x_test, and labels y_train and "
            "y_test"
        )
    return [part for part in found if part != "only"] or found


def read_npz(path: Path, part: str) -> Examples:
    """Read a part of an archive.

    Args:
        path: The file.
        part: A key of `NAMES`.

    Raises:
        ValueError: It is damaged, or its arrays are no images and labels. The message is a clause.
        OSError: It cannot be read.
    """
    with open_file(path) as file, _open_archive(file) as archive:
        arrays = _arrays(archive)
        images, labels = (next((arrays[name] for name in names if name in arrays), None) for names in NAMES[part])
        if images is None:
            raise ValueError(f"it holds no array {NAMES[part][0][0]}")
        levels = GreyLevels()
        pixels, shape, order = _read_array(archive, images, levels)
        count = count_images(shape)
        found = None if labels is None else _read_array(archive, labels)
    return Examples(
        to_images(np.ascontiguousarray(pixels.reshape(shape, order=order))),
        None if found is None else to_labels(found[0].reshape(found[1], order=found[2]), count),
        (levels.lowest, levels.highest),
    )


def _open_archive(file: IO[bytes]) -> zipfile.ZipFile:
    """Open a zip archive whose directory is short, because Python reads all of it into memory."""
    size = file.seek(0, io.SEEK_END)
    file.seek(max(0, size - _END_RECORD.size - _ZIP64_LOCATOR_SIZE))
    end = file.read()
    if len(end) < _END_RECORD.size or not end[-_END_RECORD.size :].startswith(b"PK\x05\x06") or end[-2:] != b"\0\0":
        raise ValueError("it is damaged, or no archive of NumPy arrays")
    _, _, _, _, entries, directory_size, _, _ = _END_RECORD.unpack(end[-_END_RECORD.size :])
    if entries > MAX_ARRAYS or directory_size > MAX_ARRAYS * 1000 or end.startswith(_ZIP64_LOCATOR):
        raise ValueError(
            f"it is a zip archive of more than {MAX_ARRAYS} files, or 4 GiB: unpack it and name its folder"
        )
    try:
        return zipfile.ZipFile(file)
    except Exception as error:  # zipfile raises errors of many types for damaged archives
        raise ValueError("it is damaged, or no archive of NumPy arrays") from error


def _arrays(archive: zipfile.ZipFile) -> Mapping[str, zipfile.ZipInfo]:
    """Return the arrays by their names in lower case."""
    names = {info.filename: info for info in archive.infolist()}
    return {name.removesuffix(".npy").lower(): info for name, info in names.items() if name.endswith(".npy")}


def _read_array(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, levels: GreyLevels | None = None
) -> tuple[Numbers, tuple[int, ...], Any]:
    """Return the numbers of an array in the order of the file, its shape, and the order, ``C`` or ``F``.

    No more is decompressed than the header promises, and the header is checked first.

    Args:
        archive: The archive.
        info: The array.
        levels: Converts the numbers of images. None for labels.
    """
    name = info.filename
    if info.compress_type not in _METHODS or info.flag_bits & 1:
        raise ValueError(f"{name} is encrypted, or not compressed as NumPy does it")
    try:
        with archive.open(info) as stream:
            shape, order, dtype = _read_header(stream, name)
            count = count_images(shape) * PIXELS if levels else math.prod(shape)
            if not 1 <= count <= MAX_IMAGES * (PIXELS if levels else 10):
                raise ValueError(f"{name} holds {count:,} numbers")
            numbers = np.empty(count, np.uint8 if levels else dtype.newbyteorder("="))
            filled = 0
            for chunk in _chunks(stream, count, dtype, name):
                numbers[filled : filled + len(chunk)] = levels.convert(chunk) if levels else chunk
                filled += len(chunk)
            if stream.read(1):
                raise ValueError(f"{name} is longer than its header promises")
    except ValueError:
        raise
    except Exception as error:  # of zipfile, zlib, and an OSError for a position before the file
        raise ValueError(f"{name} is damaged") from error
    return numbers, shape, order


def _read_header(stream: IO[bytes], name: str) -> tuple[tuple[int, ...], str, np.dtype[Any]]:
    """Return the shape, the order and the type of the numbers."""
    try:
        # Only the first version: a header of a later one may be gigabytes long.
        if np.lib.format.read_magic(stream) != (1, 0):
            raise ValueError
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(stream)
    except Exception as error:  # a damaged header can raise errors of many types
        raise ValueError(f"{name} has no header of a NumPy array") from error
    if dtype.hasobject:
        raise ValueError(f"{name} holds Python objects, which can run code and are not read")
    if dtype.kind not in "buif" or dtype.itemsize > 8:
        raise ValueError(f"{name} holds values of the type {dtype}, and not numbers")
    if not all(isinstance(size, int) and size >= 0 for size in shape):
        raise ValueError(f"{name} has no header of a NumPy array")
    return shape, "F" if fortran else "C", dtype


def _chunks(stream: IO[bytes], count: int, dtype: np.dtype[Any], name: str) -> Iterator[Numbers]:
    while count:
        size = min(count, CHUNK * PIXELS)
        content = stream.read(size * dtype.itemsize)
        if len(content) < size * dtype.itemsize:
            raise ValueError(f"{name} is shorter than its header promises")
        yield np.frombuffer(content, dtype)
        count -= size
