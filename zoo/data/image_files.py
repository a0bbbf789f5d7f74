"""Reading of images from files, bytes, arrays and tensors."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps
from torch import Tensor

from zoo.data.image_decoding import decode_bytes, decode_file
from zoo.data.picture_colors import with_8_bits
from zoo.utils.errors import UsageError
from zoo.utils.wording import with_article


def open_picture(picture: Any, notes: list[str]) -> Image.Image:
    """Return an image as a PIL image of 8 bits a channel, with its EXIF orientation applied.

    Args:
        picture: A path, the bytes of a file, a PIL image or an array of pixels, as for `zoo.preprocess`.
        notes: List to which a sentence is appended for everything unusual that the user should know.

    Raises:
        UsageError: It cannot be read, or is not an image.
    """
    return with_8_bits(_open(picture, notes))


def _open(picture: Any, notes: list[str]) -> Image.Image:
    if isinstance(picture, str | os.PathLike):
        return decode_file(Path(picture), notes)
    if isinstance(picture, bytes | bytearray | memoryview):
        return decode_bytes(bytes(picture), notes)
    if isinstance(picture, Image.Image):
        if 0 in picture.size:
            raise UsageError(f"A picture of {picture.size[0]} × {picture.size[1]} pixels shows nothing.")
        return ImageOps.exif_transpose(picture)
    if isinstance(picture, Tensor):
        picture = picture.detach().cpu()
        picture = picture.float() if picture.is_floating_point() else picture
    pixels = np.asarray(picture)
    if pixels.dtype.kind == "O" and not isinstance(picture, list | tuple | np.ndarray):
        raise UsageError(
            "A picture is a path, the bytes of a file, a PIL image or pixels, and not "
            f"{with_article(type(picture).__name__)}."
        )
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and pixels.shape[2] not in (1, 3, 4):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
    if isinstance(picture, list | tuple) and pixels.dtype.kind in "OSU":
        raise UsageError(f"One picture is read at a time, and not a {type(picture).__name__}: give one by one.")
    if pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)) or 0 in pixels.shape:
        raise UsageError(f"Pixels of the shape {pixels.shape} are no picture: give (H, W), (H, W, C) or (C, H, W).")
    if pixels.dtype.kind not in "buif":
        raise UsageError(f"Pixels of the type {pixels.dtype} are no picture: give whole or real numbers.")
    if not np.issubdtype(pixels.dtype, np.integer):
        if not np.isfinite(pixels).all() or pixels.min() < 0 or pixels.max() > 1:
            raise UsageError("Pixels that are no whole numbers must lie between 0 and 1.")
        pixels = (pixels * 255).round()
    if pixels.min() < 0 or pixels.max() > 255:
        raise UsageError("Pixels that are whole numbers must lie between 0 and 255.")
    return Image.fromarray(pixels.astype(np.uint8))
