"""Plain pictures: one digit in even light, and nothing else but dust or a thin frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

MIN_CONTRAST = 0.08
"""Minimum contrast between digit and background, in [0, 1]. A lower contrast means a blank page with noise."""
MIN_COMPONENT_SHARE = 0.03
"""Components with less than this share of the largest one's ink are discarded as dust."""

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]


def ink_of(colors: Array) -> Array:
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


def digit_mask(ink: Array) -> Mask | None:
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
    kept: Mask = np.isin(components, labels[sizes >= MIN_COMPONENT_SHARE * sizes.max()])
    return kept


def _is_frame(component: Mask, shape: tuple[int, ...]) -> bool:
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


def count_digits(mask: Mask) -> int:
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
