"""MNIST's format: a digit scaled to 20×20 pixels, its center of mass in the middle of 28×28.

MNIST was made as follows. Each digit was scaled to fit a box of 20×20 pixels, preserving its aspect ratio, with grey
levels from anti-aliasing. The box was placed in an image of 28×28 pixels with the digit's center of mass in the middle
(LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998, section III.A).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.data.array_filters import dilate_grey, dilate_mask

IMAGE_SIZE = 28
DIGIT_SIZE = 20
CENTER_OF_MASS = 14.0
"""Position of the center of mass in MNIST, in pixels from 0. Its means over the training images: 13.996 and 14.007."""
MAX_OFF_CENTER = 1.5
"""Greatest distance of the center of mass from that position, in each direction. MNIST moved digits by whole pixels."""
MIN_SIZE = 18
"""Minimum height or width of a digit in MNIST's format. The faint edges of some are black in MNIST."""
MIN_STROKE_WIDTH = 1.9
"""Minimum stroke width in pixels, in the box of 20×20. Thinner strokes would turn grey and are thickened. The median of
MNIST is 2.5."""

Array = NDArray[np.floating[Any]]
Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def to_mnist_format(ink: Array, mask: Mask, center: bool) -> Array:
    """Return the digit, scaled to its box and placed in 28×28 pixels."""
    ink_level = float(np.median(ink[mask]))
    # Extend the mask by a little, to include the soft edges of the strokes.
    region = dilate_mask(mask, 2)
    grey = np.where(region, (ink / ink_level).clip(0, 1), 0).astype(np.float32)
    top, bottom, left, right = bounding_box(mask)
    grey, mask = grey[top:bottom, left:right], mask[top:bottom, left:right]
    scale = DIGIT_SIZE / max(grey.shape)
    grey = _thicken(grey, mask, scale)
    scale = DIGIT_SIZE / max(grey.shape)
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    small = np.asarray(
        Image.fromarray(grey).resize((width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    )
    small = (small / max(float(np.quantile(small[small > 0.1], 0.9)), 1e-6)).clip(0, 1)
    rows, columns = np.indices(small.shape)
    if center:
        centers = [float((small * index).sum() / small.sum()) for index in (rows, columns)]
    else:
        centers = [(side - 1) / 2 + 0.5 for side in small.shape]
    canvas = np.zeros((IMAGE_SIZE, IMAGE_SIZE), dtype=np.float32)
    offsets = [
        min(max(0, round(CENTER_OF_MASS - position)), IMAGE_SIZE - side)
        for position, side in zip(centers, small.shape, strict=True)
    ]
    canvas[offsets[0] : offsets[0] + height, offsets[1] : offsets[1] + width] = small
    return canvas


def bounding_box(mask: Mask) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of a mask's bounding box, the ends exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _thicken(grey: Array, mask: Mask, scale: float) -> Array:
    """Thicken the strokes if they would be thinner than `MIN_STROKE_WIDTH` after scaling."""
    missing = MIN_STROKE_WIDTH / scale - _mean_stroke_width(mask)
    radius = round(missing / 2)
    return dilate_grey(np.pad(grey, radius), radius) if radius >= 1 else grey


def _mean_stroke_width(mask: Mask) -> float:
    """Return the mean stroke width of a digit in pixels: twice its area divided by the length of its outline."""
    padded = np.pad(mask, 1)
    edges = sum(int((padded != np.roll(padded, 1, axis=axis)).sum()) for axis in (0, 1))
    # An outline in all directions crosses 4/π times as many pixel edges as its length in pixels.
    return 2 * float(mask.sum()) / (edges * np.pi / 4)


def as_in_mnist(levels: Levels) -> Levels | None:
    """Return an image that is in MNIST's format already, or None if it is not.

    Args:
        levels: Grey levels, ``(H, W)``.

    Returns:
        uint8 ``(28, 28)``, a bright digit on black: the image, or its negative if it is dark on white.
    """
    if levels.shape != (IMAGE_SIZE, IMAGE_SIZE):
        return None
    border = np.concatenate([levels[0], levels[-1], levels[:, 0], levels[:, -1]])
    # A few digits of MNIST touch the border.
    if float((border == 255).mean()) > 0.7:
        levels = 255 - levels
    elif float((border == 0).mean()) < 0.7:
        return None
    if levels.max(initial=0) < 128:
        return None
    top, bottom, left, right = bounding_box(levels > 0)
    if not MIN_SIZE <= max(bottom - top, right - left) <= DIGIT_SIZE:
        return None
    total = float(levels.sum(dtype=np.float64))
    centers = (float((levels * index).sum()) / total for index in np.indices(levels.shape))
    return levels if all(abs(center - CENTER_OF_MASS) <= MAX_OFF_CENTER for center in centers) else None
