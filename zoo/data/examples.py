"""Images and labels of a user's files, checked and brought to MNIST's form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

MAX_IMAGES = 500_000
"""Images of one file or folder: twice as many as the largest set of handwritten digits has (EMNIST, 240,000)."""
SIDE = 28
PIXELS = SIDE * SIDE
CHUNK = 1000
"""Images that are converted at a time."""

Numbers = NDArray[Any]


@dataclass(frozen=True)
class Examples:
    """What was read.

    Args:
        images: uint8 ``(N, 28, 28)``.
        labels: int64 ``(N,)`` in 0..9. None if there are no labels.
        levels: The lowest and the highest number that stands for a pixel in the file.
        files: The file of each image, if each has one.
        problems: A sentence for each file that was passed over.
    """

    images: Tensor
    labels: Tensor | None
    levels: tuple[float, float] = (0, 255)
    files: Sequence[Path] = field(default=())
    problems: Sequence[str] = field(default=())


class GreyLevels:
    """Conversion of the numbers of images, a chunk at a time, to whole levels of 0 to 255.

    Numbers that do not exceed 1 are taken as parts of 255, others as levels.
    """

    def __init__(self) -> None:
        self.lowest, self.highest = math.inf, -math.inf
        self._white: int | None = None

    def convert(self, numbers: Numbers) -> NDArray[np.uint8]:
        """Return a chunk as uint8 of the same shape.

        Raises:
            ValueError: The numbers are not those of an image. The message is a clause.
        """
        lowest, highest = float(numbers.min()), float(numbers.max())
        if not (math.isfinite(lowest) and math.isfinite(highest)):
            raise ValueError("its pixels include numbers that are not finite")
        if lowest < 0 or highest > 255:
            raise ValueError(f"its pixels include {lowest if lowest < 0 else highest:g}, but they are 0 to 1 or to 255")
        self.lowest, self.highest = min(self.lowest, lowest), max(self.highest, highest)
        if self._white is None and highest > 0:
            self._white = 1 if highest <= 1 else 255
        if self._white == 1 and highest > 1:
            raise ValueError("its pixels are 0 to 1 at first and exceed 1 later")
        if numbers.dtype == np.uint8 and self._white != 1:
            return numbers
        return np.rint(numbers.astype(np.float64) * (255 / (self._white or 255))).astype(np.uint8)


def count_images(shape: Sequence[int]) -> int:
    """Return the number of images in an array of this shape.

    Raises:
        ValueError: Images of 28×28 pixels do not have this shape, or there are too many. The message is a clause.
    """
    shown = _shown(shape)
    if tuple(shape[1:]) not in ((SIDE, SIDE), (SIDE, SIDE, 1), (1, SIDE, SIDE), (PIXELS,)):
        raise ValueError(f"its images are {shown}, but they must be N × 28 × 28 or N × 784")
    if not 1 <= shape[0] <= MAX_IMAGES:
        raise ValueError(f"its images are {shown}, but there must be 1 to {MAX_IMAGES:,}")
    return shape[0]


def to_images(levels: NDArray[np.uint8]) -> Tensor:
    """Return the levels of N images as uint8 ``(N, 28, 28)``, in memory that torch may write to."""
    return torch.from_numpy(np.require(levels.reshape(-1, SIDE, SIDE), requirements=["C", "W", "O"]))


def to_labels(numbers: Numbers, count: int) -> Tensor:
    """Return the labels of so many images as int64 ``(N,)``.

    Raises:
        ValueError: They are not so many, or no digits. The message is a clause.
    """
    if numbers.ndim == 2 and numbers.shape[1] == 1:
        numbers = numbers[:, 0]
    if numbers.ndim != 1:
        raise ValueError(f"its labels are {_shown(numbers.shape)}, but they must be one number an image")
    if len(numbers) != count:
        raise ValueError(f"it has {count:,} images, but {len(numbers):,} labels")
    digits = numbers.astype(np.float64)
    wrong = ~((digits >= 0) & (digits <= 9) & (digits == np.floor(digits)))
    if wrong.any():
        raise ValueError(f"its labels include {numbers[wrong][0]}, but they must be whole numbers of 0 to 9")
    return torch.from_numpy(digits.astype(np.int64))


def _shown(shape: Sequence[int]) -> str:
    return " × ".join(f"{size:,}" for size in shape) or "a single number"
