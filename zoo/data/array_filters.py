"""Filters of images ``(H, W)`` and the connected components of masks, by NumPy alone.

`zoo.data.plain_pictures` and `zoo.data.mnist_format` use them, which are also exported to run without other packages.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]
Labels = NDArray[np.int64]


def grey_opening(values: Array, size: int) -> Array:
    """Return the grey opening by a square: the maximum over all squares with a pixel of the minimum in the square.

    Values beyond the border are those of the nearest pixel.

    Args:
        values: ``(H, W)``.
        size: Side of the square in pixels.
    """
    before = size // 2
    for axis in (0, 1):
        values = _extreme(values, size, before, axis, np.minimum)
    for axis in (0, 1):
        values = _extreme(values, size, size - 1 - before, axis, np.maximum)
    return values


def _extreme(values: Array, size: int, before: int, axis: int, extreme: np.ufunc) -> Array:
    """Return the extreme of ``size`` values along an axis, of which ``before`` come before the pixel."""
    values = _extended(values, size, before, axis)
    length = values.shape[axis] - size + 1
    reach = 1  # each value is the extreme of as many
    while reach < size:
        step = min(reach, size - reach)
        values = extreme(_part(values, axis, 0, -step), _part(values, axis, step, None))
        reach += step
    return _part(values, axis, 0, length)


def mean_filter(values: Array, size: int) -> Array:
    """Return the mean of the square around each pixel, where values beyond the border are those of the nearest pixel.

    Args:
        values: ``(H, W)``.
        size: Side of the square in pixels.
    """
    for axis in (0, 1):
        sums = np.cumsum(_extended(values, size + 1, size // 2 + 1, axis), axis=axis, dtype=np.float64)
        differences = _part(sums, axis, size, None) - _part(sums, axis, 0, -size)
        values = (differences / size).astype(values.dtype)
    return values


def _extended(values: Array, size: int, before: int, axis: int) -> Array:
    """Return values with those at the border repeated, so that each pixel has ``size`` of them around it."""
    widths = [(0, 0), (0, 0)]
    widths[axis] = (before, size - 1 - before)
    return np.pad(values, widths, mode="edge")


def _part(values: Array, axis: int, start: int, stop: int | None) -> Array:
    return values[start:stop] if axis == 0 else values[:, start:stop]


def dilate_mask(mask: Mask, iterations: int) -> Mask:
    """Return a mask with the pixels that are at most ``iterations`` steps to the side, up or down from it."""
    for _ in range(iterations):
        larger = mask.copy()
        larger[1:] |= mask[:-1]
        larger[:-1] |= mask[1:]
        larger[:, 1:] |= mask[:, :-1]
        larger[:, :-1] |= mask[:, 1:]
        mask = larger
    return mask


def dilate_grey(grey: Array, radius: int) -> Array:
    """Return the maximum over the disk around each pixel. Beyond the border is nothing.

    Args:
        grey: ``(H, W)``.
        radius: Radius of the disk in pixels.
    """
    result, wide, half_width = grey.copy(), grey, 0
    # From the top and the bottom of the disk to its middle, where it is widest.
    for row in range(radius, -1, -1):
        while (half_width + 1) ** 2 + row**2 <= radius**2:
            wider = wide.copy()
            np.maximum(wider[:, 1:], wide[:, :-1], out=wider[:, 1:])
            np.maximum(wider[:, :-1], wide[:, 1:], out=wider[:, :-1])
            wide, half_width = wider, half_width + 1
        if row >= len(grey):
            continue
        inner = len(grey) - row
        np.maximum(result[row:], wide[:inner], out=result[row:])
        np.maximum(result[:inner], wide[row:], out=result[:inner])
    return result


def label_components(mask: Mask) -> tuple[Labels, int]:
    """Return the components of pixels that touch by a side or a corner.

    Args:
        mask: ``(H, W)``.

    Returns:
        Labels 1, 2, … of the components in the order of their first pixels, row by row, and 0 elsewhere, ``(H, W)``;
        and the number of components.
    """
    height, width = mask.shape
    # Runs of pixels in a row, in one line in which the rows are apart by an empty pixel.
    flat = np.zeros((height, width + 1), np.int8)
    flat[:, :width] = mask
    changes = np.diff(flat.ravel(), prepend=np.int8(0), append=np.int8(0))
    starts, ends = np.flatnonzero(changes == 1), np.flatnonzero(changes == -1)
    # A run touches those in the next row that begin at its end or before, and end after its start or at it.
    first = np.searchsorted(ends, starts + width + 1, side="left")
    last = np.searchsorted(starts, ends + width + 1, side="right")
    counts = (last - first).clip(0)
    above = np.repeat(np.arange(len(starts)), counts)
    below = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts) + np.repeat(first, counts)
    names = np.unique(_joined(len(starts), above, below), return_inverse=True)[1] + 1
    labels = np.zeros(flat.size, np.int64)
    labels[np.repeat(starts, ends - starts) + _positions(ends - starts)] = np.repeat(names, ends - starts)
    return labels.reshape(flat.shape)[:, :width], int(names.max(initial=0))


def _positions(lengths: Labels) -> Labels:
    """Return 0, 1, … up to each length, one after the other."""
    positions: Labels = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return positions


def _joined(count: int, first: Labels, second: Labels) -> Labels:
    """Return for each of ``count`` nodes the least one that it is connected with by the pairs ``first, second``."""
    least = np.arange(count)
    while True:
        ends = least[first], least[second]
        if np.array_equal(*ends):
            return least
        # The least neighbor of each tree's root, and then the root of each node.
        np.minimum.at(least, np.maximum(*ends), np.minimum(*ends))
        while not np.array_equal(least, least[least]):
            least = least[least]
