"""Decoding of image files whose content nobody vouches for, in bounded time and memory.

A file of a few kilobytes can say that it holds millions of pixels, frames or parts. What it says is compared with the
limits here before any pixel is decoded.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import stat
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from PIL import Image, ImageOps

from zoo.data.picture_formats import IN_EXTRA, START_BYTES, formats_of, other_format
from zoo.utils.bounded_reader import BoundedReader, TooMuchWorkError
from zoo.utils.errors import UsageError
from zoo.utils.wording import install_extra

MAX_FILE_BYTES = 256 << 20
MAX_PIXELS = 50_000_000
"""Larger images would take long to decode, and most of the memory of a small machine. Pillow takes at most 4 bytes for
a pixel."""
MAX_PIXELS_OF = {"WEBP": 25_000_000, "AVIF": 25_000_000, "HEIF": 25_000_000}
"""Formats whose decoders hold an image several times, or need seconds for more."""
MAX_PIXELS_AS_TEXT = 1_000_000
"""Pixels of a PBM, PGM or PPM file with numbers in letters, which Python decodes and not C."""
MAX_PIXELS_IN_SCANS = 1_000_000_000
"""Pixels times scans of a JPEG. Each scan goes through all pixels, and takes a few bytes to ask for."""
MAX_EXIF_BYTES = 1 << 16
"""As much as a JPEG holds in one part."""
JPEG_DRAFT_SIZE = 1024
"""JPEGs are decoded at a half, a quarter or an eighth of their size, if that leaves as many pixels on each side."""

# Else Python prints what Pillow logs of damaged files. A program that sets up logging still gets it.
logging.getLogger("PIL").addHandler(logging.NullHandler())

_TEXT_FORMATS = (b"P1", b"P2", b"P3")
# Any marker but those that belong to the compressed data of a scan.
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9


def decode_file(path: Path, notes: list[str]) -> Image.Image:
    """Decode an image file.

    Args:
        path: The file.
        notes: List to which a sentence is appended for everything unusual that the user should know.

    Returns:
        The first image in the file, with its EXIF orientation applied. It holds no open file.

    Raises:
        UsageError: The file is missing, cannot be read, is no picture, or is larger than the limits of this module.
    """
    if "\0" in str(path):
        raise UsageError("The picture's path holds a NUL character, which no file's name can.")
    try:
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise UsageError(f"{path} is a folder: name a picture.")
        if not stat.S_ISREG(mode):
            # Opening a pipe or a terminal would wait for another process or for the user.
            raise UsageError(f"{path} is {'a pipe' if stat.S_ISFIFO(mode) else 'a device'}: name a file.")
        with path.open("rb") as file:
            return _decode(file, str(path), notes)
    except FileNotFoundError:
        raise UsageError(f"There is no picture {path}.") from None
    except PermissionError:
        raise UsageError(f"{path} may not be read: change its permissions.") from None
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error


def decode_bytes(content: bytes, notes: list[str]) -> Image.Image:
    """Decode the content of an image file, as `decode_file` does."""
    return _decode(io.BytesIO(content), "The picture", notes)


def _decode(file: BinaryIO, name: str, notes: list[str]) -> Image.Image:
    """Decode an open file. Error messages refer to it as ``name``."""
    size = file.seek(0, io.SEEK_END)
    file.seek(0)
    start = file.read(START_BYTES)
    if size == 0:
        raise UsageError(f"{name} cannot be read as a picture: it is empty.")
    if size > MAX_FILE_BYTES:
        raise UsageError(f"{name} has more than {MAX_FILE_BYTES >> 20} MiB: save the picture as PNG or JPEG.")
    if other := other_format(start):
        install = f"{install_extra('heic')}, or " * (other in IN_EXTRA)
        raise UsageError(f"{name} is {other}, which is not read here: {install}save the picture as PNG or JPEG.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow's, thousands for one file; the limits here replace its own
            with Image.open(BoundedReader(file), formats=formats_of(start)) as image:  # type: ignore[arg-type]
                scans = _count_scans(file) if image.format in ("JPEG", "MPO") else 1
                _check_size(image, name, scans, as_text=start.startswith(_TEXT_FORMATS))
                # Not `n_frames`, for which Pillow goes through the whole file.
                if getattr(image, "is_animated", False):
                    notes.append("It holds several pictures, and this is about the first.")
                with _silent_stderr() if image.format == "TIFF" else contextlib.nullcontext():
                    picture = image.copy()
            _orient(picture)
            return picture
    except UsageError:
        raise
    except TooMuchWorkError:
        raise UsageError(f"{name} consists of too many parts: save the picture again, as PNG or JPEG.") from None
    except Image.DecompressionBombError:
        raise _too_large(name, "too many", MAX_PIXELS) from None
    except Exception as error:  # a damaged file can make a decoder raise anything
        raise UsageError(f"{name} cannot be read as a picture: it is no picture, or damaged.") from error


def _check_size(image: Image.Image, name: str, scans: int, *, as_text: bool) -> None:
    """Check what an opened file says of itself, and let a large JPEG be decoded at a part of its size."""
    pixels = image.width * image.height
    if scans * pixels > MAX_PIXELS_IN_SCANS:
        raise UsageError(f"{name} is a JPEG of {scans:,} scans: save it again, as an ordinary (baseline) JPEG or PNG.")
    limit = MAX_PIXELS_AS_TEXT if as_text else MAX_PIXELS_OF.get(str(image.format), MAX_PIXELS)
    shown = f"{image.width:,} × {image.height:,}"
    if scans == 1 or pixels <= limit:  # the decoder keeps all of a JPEG in memory while it goes through several scans
        image.draft("RGB", (JPEG_DRAFT_SIZE, JPEG_DRAFT_SIZE))
    if image.width * image.height > limit:
        raise _too_large(name, shown, limit)


def _too_large(name: str, pixels: str, limit: int) -> UsageError:
    megapixels = limit // 1_000_000
    return UsageError(
        f"{name} has {pixels} pixels: make it smaller, at most {megapixels} megapixel{'s' * (megapixels > 1)}."
    )


def _count_scans(file: Any) -> int:
    """Count the scans of the first image in a JPEG file, and go back to where the file was."""
    before = file.tell()
    file.seek(0)
    content = file.read()
    file.seek(before)
    scans, position = 0, 2
    while found := _MARKER.search(content, position):
        marker = content[found.end() - 1]
        if marker == _END_OF_IMAGE:
            break
        scans += marker == _START_OF_SCAN
        position = found.end() + max(2, int.from_bytes(content[found.end() : found.end() + 2], "big"))
    return max(1, scans)


_stderr_lock = threading.Lock()


@contextlib.contextmanager
def _silent_stderr() -> Iterator[None]:
    """Discard what libtiff writes to standard error about a damaged file, past Python; in one thread at a time."""
    with _stderr_lock, _null_stderr():
        yield


@contextlib.contextmanager
def _null_stderr() -> Iterator[None]:
    try:
        kept = os.dup(2)
    except OSError:  # it is closed
        yield
        return
    null = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(null, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(null)


def _orient(image: Image.Image) -> None:
    """Apply the EXIF orientation to an image, if there is one that can be read."""
    for place in ("exif", "Raw profile type exif"):
        if len(image.info.get(place) or "") > MAX_EXIF_BYTES:
            del image.info[place]
    with contextlib.suppress(Exception):  # damaged metadata, of which a reader may raise anything
        ImageOps.exif_transpose(image, in_place=True)
