"""Images of any mode as colors and grey levels, by NumPy and Pillow alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WORKING_SIZE = 256
"""Images are downscaled to at most this size in pixels before they are analyzed."""
STRIP_PIXELS = 1 << 20
"""Pixels that are converted at a time where a conversion takes many bytes for each."""
LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in the luma (ITU-R BT.601)."""

Array = NDArray[np.floating[Any]]
Levels = NDArray[np.uint8]


def with_8_bits(image: Image.Image) -> Image.Image:
    """Return an image with 8 bits a channel: one of 16-bit, 32-bit or real numbers becomes grey.

    Of such numbers, black is 0, and white is 1, 255 or 65,535: the least of these that no number exceeds, or the last.
    """
    if image.mode not in ("I;16", "I;16B", "I;16L", "I", "F"):
        return image
    highest = max(float(values.max()) for _, values in _strips(image))
    white = 65535.0 if highest > 255 else 255.0 if highest > 1 else 1.0
    grey = Image.new("L", image.size)
    for corner, values in _strips(image):
        grey.paste(Image.fromarray((values / white * 255).clip(0, 255).astype(np.uint8)), corner)
    return grey


def downscaled_colors(image: Image.Image, size: int = WORKING_SIZE) -> Array:
    """Return the colors ``(H, W, 3)`` in [0, 1] of an image with 8 bits a channel.

    The longer side is downscaled to at most ``size`` pixels.
    """
    transparent = "A" in image.getbands() or "transparency" in image.info
    image = image.convert("RGBA" if transparent else "RGB")
    image.thumbnail((size, size), Image.Resampling.BOX)
    if transparent:
        image = _composite(image).convert("RGB")
    return np.asarray(image, dtype=np.float32) / 255


def grey_levels(colors: Array) -> Levels:
    """Return the luma of colors ``(H, W, 3)`` in [0, 1] as grey levels ``(H, W)``."""
    levels: Levels = (colors @ LUMA * 255).round().astype(np.uint8)
    return levels


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
