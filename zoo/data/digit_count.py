"""How many digits a picture seems to show."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Mask = NDArray[np.bool_]


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
