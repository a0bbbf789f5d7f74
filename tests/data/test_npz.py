"""Archives of NumPy arrays that nobody vouches for: nothing is executed, and work and memory are bounded."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.data.test_idx import peak_memory
from tests.user_files import make_part
from zoo.data.npz import parts_of_npz, read_npz
from zoo.data.reading_errors import read_reported
from zoo.utils.errors import UsageError

IMAGES, LABELS = make_part(30)


def refused(reason: str, path: str = "file.npz") -> None:
    with pytest.raises(UsageError, match=rf"^{path} cannot be read as data: .*{reason}"):
        read_reported(Path(path), lambda: [read_npz(Path(path), part) for part in parts_of_npz(Path(path))])


def header(shape: tuple[int, ...], dtype: str = "|u1") -> bytes:
    """Return the begin of an npy file that promises numbers."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": dtype, "fortran_order": False, "shape": shape})
    return file.getvalue()


def write(**arrays: bytes) -> None:
    with zipfile.ZipFile("file.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in arrays.items():
            archive.writestr(f"{name}.npy", content)


def test_objects_are_not_unpickled() -> None:
    class Evil:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path("ran").touch, ()

    objects = np.empty(30, dtype=object)
    objects[:] = Evil()
    for arrays in ({"x_train": objects, "y_train": LABELS}, {"x_train": IMAGES, "y_train": objects}):
        np.savez("file.npz", **arrays)  # type: ignore[arg-type]  # numpy takes a name for allow_pickle
        refused("holds Python objects, which can run code and are not read")
    assert not Path("ran").exists()


@pytest.mark.parametrize(
    "shape", [(10**9, 28, 28), (500_001, 28, 28), (2**40, 784), (0, 28, 28), (30, 280, 28), (), (30, -28, -28)]
)
def test_size_in_the_header_is_not_believed(shape: tuple[int, ...]) -> None:
    write(x_train=header(shape))
    assert peak_memory(lambda: refused("")) < 1_000_000


def test_a_bomb_costs_no_more_than_its_header_promises() -> None:
    with (
        zipfile.ZipFile("file.npz", "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("x_train.npy", "w") as file,
    ):
        file.write(header((30, 28, 28)))
        for _ in range(100):
            file.write(bytes(1_000_000))
    assert peak_memory(lambda: refused("longer than its header promises")) < 3_000_000


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"x_train": header((30, 28, 28)) + bytes(100)}, "shorter than its header promises"),
        ({"x_train": b"no array"}, "no header of a NumPy array"),
        ({"x_train": b"\x93NUMPY\x02\0\xff\xff\xff\xff" + bytes(100)}, "no header of a NumPy array"),
        ({"x_train": header((30, 28, 28), "<c16")}, "holds values of the type complex128"),
        ({"other": header((30, 28, 28))}, "it holds other, but images are called x_train"),
        ({}, "unpack it"),
    ],
)
def test_other_arrays_are_refused(arrays: dict[str, bytes], reason: str) -> None:
    write(**arrays)
    refused(reason)


@pytest.mark.parametrize(
    ("images", "reason"),
    [
        (IMAGES.astype(np.float32) - 1, "pixels include -1"),
        (IMAGES.astype(np.int16) + 1, "pixels include 256"),
        (np.where(IMAGES == 255, np.nan, IMAGES), "not finite"),
        (IMAGES[:, :27], "its images are 30 × 27 × 28"),
    ],
)
def test_numbers_that_are_no_pixels_are_refused(images: np.ndarray[Any, Any], reason: str) -> None:
    np.savez("file.npz", x_train=images, y_train=LABELS)
    refused(reason)


def test_zip_archives_of_other_files_are_named() -> None:
    with zipfile.ZipFile("file.npz", "w") as archive:
        archive.writestr("train.csv", "label")
    refused("unpack it")
    with zipfile.ZipFile("file.npz", "w") as archive:
        for number in range(200):
            archive.writestr(f"{number}.png", b"")
    refused("unpack it")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_ways_of_compression_without_a_bound_are_refused(method: int) -> None:
    with zipfile.ZipFile("file.npz", "w", method) as archive:
        archive.writestr("x_train.npy", header((30, 28, 28)) + IMAGES.tobytes())
    refused("not compressed as NumPy does it")
