"""Reading of images from files, bytes, arrays and tensors, with and without transparency, as RGB colors."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from zoo.data.image_decoding import decode_bytes, decode_file
from zoo.utils.errors import UsageError

WORKING_SIZE = 256
"""Images are downscaled to at most this size in pixels before they are analyzed."""
STRIP_PIXELS = 1 << 20
"""Pixels that are converted at a time where a conversion takes many bytes for each."""


def open_picture(picture: Any, notes: list[str]) -> Image.Image:
    """Return an image as a PIL image of 8 bits a channel, with its EXIF orientation applied.

    Args:
        picture: A path, the bytes of a file, a PIL image or an array of pixels, as for `zoo.preprocess`.
        notes: List to which a sentence is appended for everything unusual that the user should know.

    Raises:
        UsageError: It cannot be read, or is not an image.
    """
    image = _open(picture, notes)
    return _grey_levels(image) if image.mode in ("I;16", "I;16B", "I;16L", "I", "F") else image


def _open(picture: Any, notes: list[str]) -> Image.Image:
    if isinstance(picture, str | Path):
        return decode_file(Path(picture), notes)
    if isinstance(picture, bytes):
        return decode_bytes(picture, notes)
    if isinstance(picture, Image.Image):
        if 0 in picture.size:
            raise UsageError(f"A picture of {picture.size[0]} × {picture.size[1]} pixels shows nothing.")
        return ImageOps.exif_transpose(picture)
    if isinstance(picture, Tensor):
        picture = picture.detach().cpu()
        picture = picture.float() if picture.is_floating_point() else picture
    pixels = np.asarray(picture)
    if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) and pixels.shape[2] not in (1, 3, 4):
        pixels = pixels.transpose(1, 2, 0)
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[:, :, 0]
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


def downscaled_colors(image: Image.Image, size: int = WORKING_SIZE) -> NDArray[np.floating[Any]]:
    """Return the colors ``(H, W, 3)`` in [0, 1] of an image that `open_picture` has returned.

    The longer side is downscaled to at most ``size`` pixels.
    """
    transparent = "A" in image.getbands() or "transparency" in image.info
    image = image.convert("RGBA" if transparent else "RGB")
    image.thumbnail((size, size), Image.Resampling.BOX)
    if transparent:
        image = _composite(image).convert("RGB")
    return np.asarray(image, dtype=np.float32) / 255


def _grey_levels(image: Image.Image) -> Image.Image:
    """Return an image of 16-bit, 32-bit or real numbers with levels of 0 to 255, for which black is 0.

    White is 1, 255 or 65,535: the least of these that no number exceeds, or the last.
    """
    highest = max(float(values.max()) for _, values in _strips(image))
    white = 65535.0 if highest > 255 else 255.0 if highest > 1 else 1.0
    grey = Image.new("L", image.size)
    for corner, values in _strips(image):
        grey.paste(Image.fromarray((values / white * 255).clip(0, 255).astype(np.uint8)), corner)
    return grey


def _strips(image: Image.Image) -> Iterator[tuple[tuple[int, int], NDArray[np.float64]]]:
    """Yield the numbers of an image in strips, each with its left upper corner, because doubles take much memory.

    What is no number is 0.
    """
    width, height = image.size
    length = max(1, STRIP_PIXELS // min(width, height))
    for start in range(0, max(width, height), length):
        end = min(start + length, max(width, height))
        box = (0, start, width, end) if height >= width else (start, 0, end, height)
        values = np.asarray(image.crop(box), dtype=np.float64)
        yield box[:2], np.nan_to_num(values) if image.mode == "F" else values


def _composite(image: Image.Image) -> Image.Image:
    """Composite a transparent image on white, or on black if its opaque part is light."""
    alpha = np.asarray(image.getchannel("A"), dtype=np.float32)
    if alpha.min() == 255:
        return image
    light = np.asarray(image.convert("L"), dtype=np.float32)
    mean = float((light * alpha).sum() / max(float(alpha.sum()), 1.0))
    background = Image.new("RGBA", image.size, "white" if mean < 128 else "black")
    return Image.alpha_composite(background, image)
