"""Plain pictures: one digit in even light, and nothing else but dust or a thin frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.data.array_filters import grey_opening, label_components, mean_filter
from zoo.data.mnist_format import bounding_box
from zoo.data.picture_colors import WORKING_SIZE, downscaled_colors

MIN_CONTRAST = 0.08
"""Minimum contrast between digit and background, in [0, 1]. A lower contrast means a blank page with noise."""
MIN_DIGIT_SIZE = 96
"""A digit that is smaller than this in the downscaled image is cropped from the original and analyzed again."""
MIN_COMPONENT_SHARE = 0.03
"""Components with less than this share of the largest one's ink are discarded as dust."""

Array = NDArray[np.floating[Any]]
Labels = NDArray[np.int64]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]


def find_digit(image: Image.Image, colors: Array) -> tuple[Array, Mask] | None:
    """Find the digit in a plain picture.

    Args:
        image: The picture, with 8 bits a channel.
        colors: What `zoo.data.picture_colors.downscaled_colors` returns for it.

    Returns:
        The ink and the mask of the digit's pixels, ``(H, W)`` each; None if nothing stands out.
    """
    ink = ink_of(colors)
    found = digit_mask(ink)
    if found is None:
        return None
    box = bounding_box(found)
    if size_of(box) < MIN_DIGIT_SIZE and max(image.size) > WORKING_SIZE:
        closer = ink_of(downscaled_colors(crop(image, ink.shape, box, 0.5)))
        again = digit_mask(closer)
        if again is not None:
            return closer, again
    return ink, found


def size_of(box: Box) -> int:
    """Return the longer side of a box, given by top, bottom, left and right."""
    top, bottom, left, right = box
    return max(bottom - top, right - left)


def crop(image: Image.Image, shape: tuple[int, ...], box: Box, margin: float) -> Image.Image:
    """Crop an image to a box that is given in the coordinates of its downscaled version.

    Args:
        image: The image.
        shape: Height and width of the downscaled version.
        box: Top, bottom, left and right.
        margin: Width of the margin, in units of the box's longer side.
    """
    top, bottom, left, right = box
    margin *= size_of(box)
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


def ink_of(colors: Array) -> Array:
    """Return how much each pixel differs from the background around it, ``(H, W)`` in [0, 1]."""
    background = _background(colors)
    direction = _principal_direction(colors - background)
    levels = (colors - background) @ direction
    if float(np.square(levels.clip(min=0)).sum()) < float(np.square(levels.clip(max=0)).sum()):
        levels = -levels
    # A grey opening removes everything narrower than its window. What remains is the illumination.
    width = max(3, int(0.4 * max(levels.shape)))
    illumination = grey_opening(levels, width)
    illumination = mean_filter(illumination, max(3, width // 2))
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


def digit_mask(ink: Array) -> Mask | None:
    """Return the mask of the digit's pixels, or None if nothing stands out."""
    strongest = float(np.quantile(ink, 0.995)) if ink.size > 400 else float(ink.max())
    strongest = max(strongest, 0.5 * float(ink.max()))
    if strongest < MIN_CONTRAST:
        return None
    foreground = ink > max(_otsu(ink), 0.25 * strongest)
    components, count = label_components(foreground)
    if count == 0:
        return None
    sizes = np.bincount(components.ravel(), weights=ink.ravel(), minlength=count + 1)[1:]
    frames = _are_frames(components, count)
    if not frames.all():
        sizes = np.where(frames, 0, sizes)
    kept: Mask = np.concatenate([[False], sizes >= MIN_COMPONENT_SHARE * sizes.max()])[components]
    return kept


def _are_frames(components: Labels, count: int) -> Mask:
    """Return which sparse components span the image like a frame, or span one side of it like a thin line."""
    sides, areas = [], np.bincount(components.ravel(), minlength=count + 1)[1:]
    for axis, indices in enumerate(np.nonzero(components)):
        first, last = np.full(count, components.shape[axis]), np.full(count, -1)
        labels = components[components > 0] - 1
        np.minimum.at(first, labels, indices)
        np.maximum.at(last, labels, indices)
        sides.append(last - first + 1)
    heights, widths = sides
    spans = (heights >= 0.97 * components.shape[0], widths >= 0.97 * components.shape[1])
    thin = np.minimum(heights, widths) <= 0.06 * min(components.shape)
    sparse = areas / (heights * widths) < 0.2
    frames: Mask = (spans[0] | spans[1]) & (spans[0] & spans[1] | thin) & sparse
    return frames


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
