"""Conversion of a user's image of a digit to MNIST's format.

MNIST was made as follows. Each digit was scaled to fit a box of 20×20 pixels, preserving its aspect ratio, with grey
levels from anti-aliasing. The box was placed in an image of 28×28 pixels with the digit's center of mass in the middle
(LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", 1998, section III.A).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from zoo.data.image_files import WORKING_SIZE, downscaled_colors, open_picture
from zoo.utils.errors import UsageError

IMAGE_SIZE = 28
DIGIT_SIZE = 20
CENTER_OF_MASS = 14.0
"""Position of the center of mass in MNIST, in pixels from 0. Its means over the training images: 13.996 and 14.007."""

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in the luma (ITU-R BT.601)."""

MIN_DIGIT_SIZE = 96
"""A digit that is smaller than this in the downscaled image is cropped from the original and analyzed again."""

MIN_CONTRAST = 0.08
"""Minimum contrast between digit and background, in [0, 1]. A lower contrast means a blank page with noise."""
MIN_COMPONENT_SHARE = 0.03
"""Components with less than this share of the largest one's ink are discarded as dust."""
MIN_STROKE_WIDTH = 1.9
"""Minimum stroke width in pixels, in the box of 20×20. Thinner strokes would turn grey and are thickened. The median of
MNIST is 2.5."""

Array = NDArray[np.floating[Any]]
Picture = str | Path | bytes | Image.Image | NDArray[Any] | Tensor


@dataclass(frozen=True)
class Digit:
    """An image in MNIST's format.

    Args:
        pixels: float32 ``(1, 28, 28)`` in [0, 1], a bright digit on black.
        notes: Sentences about everything unusual that the user should know. Empty if there is nothing.
    """

    pixels: Tensor
    notes: tuple[str, ...] = ()


def preprocess(picture: Picture, centre: bool = True) -> Tensor:
    """Convert an image of one digit to MNIST's format, which every member of the zoo takes.

    The digit may be dark on light or light on dark, drawn or photographed, of any size, with or without transparency.

    Args:
        picture: A path, the bytes of a file, a PIL image, or pixels ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``. Integer
            pixels are in 0 to 255, floating-point pixels in [0, 1].
        centre: Whether the digit's center of mass is placed in the middle, as in MNIST. If False, it is the middle of
            the digit's bounding box.

    Returns:
        float32 ``(1, 28, 28)`` in [0, 1], a bright digit on black. ``preprocess(picture).unsqueeze(0)`` is a batch.

    Raises:
        UsageError: The image cannot be read, or nothing in it stands out from the background.
    """
    return read_digit(picture, centre).pixels


def resize(picture: Picture) -> Tensor:
    """Convert an image to grey and resize it to 28×28 pixels, without preserving its aspect ratio.

    Use it for images of anything but one drawn or written symbol. The accepted images and the errors raised are those
    of `preprocess`, except that nothing needs to stand out.

    Returns:
        float32 ``(1, 28, 28)`` in [0, 1].
    """
    colors = downscaled_colors(open_picture(picture, []))
    grey = Image.fromarray((colors @ LUMA * 255).round().astype(np.uint8))
    if grey.size != (IMAGE_SIZE, IMAGE_SIZE):
        grey = grey.resize(
            (IMAGE_SIZE, IMAGE_SIZE),
            Image.Resampling.BOX if max(grey.size) > IMAGE_SIZE else Image.Resampling.BICUBIC,
        )
    return torch.from_numpy(np.array(grey, dtype=np.float32) / 255).unsqueeze(0)


def read_digit(picture: Picture, centre: bool = True) -> Digit:
    """Convert an image as `preprocess` does, and also return notes on everything unusual."""
    notes: list[str] = []
    image = open_picture(picture, notes)
    ink = _ink(downscaled_colors(image))
    found = _digit_mask(ink)
    if found is None:
        raise UsageError("There is nothing in this picture that stands out: it needs a digit on a plain background.")
    top, bottom, left, right = _bounding_box(found)
    if max(bottom - top, right - left) < MIN_DIGIT_SIZE and max(image.size) > WORKING_SIZE:
        closer = _ink(downscaled_colors(_crop(image, ink.shape, (top, bottom, left, right))))
        again = _digit_mask(closer)
        if again is not None:
            ink, found = closer, again
    if (digits := _count_digits(found)) > 1:
        notes.append(f"It looks like {digits} digits side by side, and only pictures of one are read right.")
    return Digit(torch.from_numpy(_to_mnist_format(ink, found, centre).astype(np.float32)).unsqueeze(0), tuple(notes))


def _ink(colors: Array) -> Array:
    """Return how much each pixel differs from the background around it, ``(H, W)`` in [0, 1]."""
    background = _background(colors)
    direction = _principal_direction(colors - background)
    levels = (colors - background) @ direction
    if float(np.square(levels.clip(min=0)).sum()) < float(np.square(levels.clip(max=0)).sum()):
        levels = -levels
    # A grey opening removes everything narrower than its window. What remains is the illumination.
    width = max(3, int(0.4 * max(levels.shape)))
    illumination = ndimage.grey_opening(levels, size=width, mode="nearest")
    illumination = ndimage.uniform_filter(illumination, size=max(3, width // 2), mode="nearest")
    ink: Array = (levels - illumination).clip(0, 1).astype(np.float32)
    return ink


def _background(colors: Array) -> Array:
    """Return the background color ``(3,)``: the median of the border, or of all pixels if the border is a frame."""
    border = np.concatenate([colors[0], colors[-1], colors[:, 0], colors[:, -1]])
    background: Array = np.median(border, axis=0)
    similar = np.abs(colors - background).max(axis=2) < 0.15
    if similar.mean() < 0.15:
        background = np.median(colors, axis=(0, 1))
    return background


def _principal_direction(differences: Array) -> Array:
    """Return the unit vector in color space along which the colors vary most. A digit may be red on green."""
    flat = differences.reshape(-1, 3).astype(np.float64)
    _, vectors = np.linalg.eigh(flat.T @ flat)
    direction: Array = vectors[:, -1].astype(np.float32)
    return direction


def _digit_mask(ink: Array) -> NDArray[np.bool_] | None:
    """Return the mask of the digit's pixels, or None if nothing stands out."""
    strongest = float(np.quantile(ink, 0.995)) if ink.size > 400 else float(ink.max())
    strongest = max(strongest, 0.5 * float(ink.max()))
    if strongest < MIN_CONTRAST:
        return None
    foreground = ink > max(_otsu(ink), 0.25 * strongest)
    components, count = ndimage.label(foreground, structure=np.ones((3, 3)))
    if count == 0:
        return None
    labels = np.arange(1, count + 1)
    sizes = ndimage.sum_labels(ink, components, labels)
    boxes = ndimage.find_objects(components)
    frames = np.array(
        [_is_frame(components[box] == label, ink.shape) for label, box in zip(labels, boxes, strict=True)]
    )
    if not frames.all():
        sizes = np.where(frames, 0, sizes)
    kept: NDArray[np.bool_] = np.isin(components, labels[sizes >= MIN_COMPONENT_SHARE * sizes.max()])
    return kept


def _is_frame(component: NDArray[np.bool_], shape: tuple[int, ...]) -> bool:
    """Return whether a sparse component spans the image like a frame, or spans one side of it like a thin line."""
    spans = [component.shape[axis] >= 0.97 * shape[axis] for axis in (0, 1)]
    return any(spans) and (all(spans) or min(component.shape) <= 0.06 * min(shape)) and float(component.mean()) < 0.2


def _otsu(values: Array) -> float:
    """Return the threshold that best separates two groups of grey levels (Otsu, IEEE Trans. Syst. Man Cybern. 1979)."""
    counts, edges = np.histogram(values, bins=128)
    bin_centers = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * bin_centers)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums / below - (sums[-1] - sums) / above
        variance = below * above * np.square(means)
    return float(edges[1:][int(np.nanargmax(np.where(above > 0, variance, np.nan)))]) if above.any() else 0.0


def _bounding_box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of a mask's bounding box, the ends exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _crop(image: Image.Image, shape: tuple[int, ...], box: tuple[int, int, int, int]) -> Image.Image:
    """Crop an image, with a margin, to a box that is given in the coordinates of its downscaled version."""
    top, bottom, left, right = box
    margin = 0.5 * max(bottom - top, right - left)
    width, height = image.size
    # One scale for each direction: a narrow strip is downscaled to a width of a few whole pixels.
    across, down = width / shape[1], height / shape[0]
    return image.crop(
        (
            max(0, int((left - margin) * across)),
            max(0, int((top - margin) * down)),
            min(width, int((right + margin) * across)),
            min(height, int((bottom + margin) * down)),
        )
    )


def _count_digits(mask: NDArray[np.bool_]) -> int:
    """Estimate the number of digits: components of similar height side by side."""
    # Components separated by a gap of a few pixels are strokes of one digit.
    joined = ndimage.binary_dilation(mask, iterations=max(1, max(mask.shape) // 60))
    components, _ = ndimage.label(joined, structure=np.ones((3, 3)))
    boxes = [box for box in ndimage.find_objects(components) if box is not None]
    tallest = max(box[0].stop - box[0].start for box in boxes)
    tall = sorted((box[1].start, box[1].stop) for box in boxes if box[0].stop - box[0].start > 0.6 * tallest)
    count, end = 0, -1
    for left, right in tall:
        if left >= end:
            count += 1
        end = max(end, right)
    return count


def _to_mnist_format(ink: Array, mask: NDArray[np.bool_], centre: bool) -> Array:
    """Return the digit, scaled to its box and placed in 28×28 pixels."""
    ink_level = float(np.median(ink[mask]))
    # Extend the mask by a little, to include the soft edges of the strokes.
    region = ndimage.binary_dilation(mask, iterations=2)
    grey = np.where(region, (ink / ink_level).clip(0, 1), 0).astype(np.float32)
    top, bottom, left, right = _bounding_box(mask)
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
    if centre:
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


def _thicken(grey: Array, mask: NDArray[np.bool_], scale: float) -> Array:
    """Thicken the strokes if they would be thinner than `MIN_STROKE_WIDTH` after scaling."""
    missing = MIN_STROKE_WIDTH / scale - _mean_stroke_width(mask)
    radius = round(missing / 2)
    if radius < 1:
        return grey
    offsets = np.arange(-radius, radius + 1)
    disk = np.square(offsets)[:, None] + np.square(offsets) <= radius**2
    thick: Array = ndimage.grey_dilation(np.pad(grey, radius), footprint=disk)
    return thick


def _mean_stroke_width(mask: NDArray[np.bool_]) -> float:
    """Return the mean stroke width of a digit in pixels: twice its area divided by the length of its outline."""
    padded = np.pad(mask, 1)
    edges = sum(int((padded != np.roll(padded, 1, axis=axis)).sum()) for axis in (0, 1))
    # An outline in all directions crosses 4/π times as many pixel edges as its length in pixels.
    return 2 * float(mask.sum()) / (edges * np.pi / 4)
