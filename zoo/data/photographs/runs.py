"""Vertical runs of ink in a mask: how high the ink is in each column, at a given place."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]


class Runs:
    """The vertical runs of ink in a mask.

    Args:
        mask: ``(H, W)``.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        height = len(mask)
        rows = np.arange(height, dtype=np.int32)[:, None]
        self._tops = _last(np.where(mask, -1, rows)) + 1
        self._bottoms = _next(np.where(mask, height, rows))
        self._above = _last(np.where(mask, rows, -height))
        self._below = _next(np.where(mask, rows, 2 * height))
        self._columns = np.arange(mask.shape[1])

    def near(self, rows: NDArray[np.floating[Any]], reach: int) -> tuple[Rows, Rows]:
        """Return the run that is nearest to a given row in each column.

        Args:
            rows: One row for each column, ``(W,)``.
            reach: Greatest distance of the run from the row.

        Returns:
            The first row of each run and the row after its last, ``(W,)`` each. They are equal where there is no run.
        """
        height = len(self.mask)
        middle = np.rint(rows).astype(np.int64)
        places = middle.clip(0, height - 1)
        above, below = self._above[places, self._columns], self._below[places, self._columns]
        nearest = np.where(middle - above <= below - middle, above, below)
        found = np.abs(nearest - middle) <= reach
        nearest = nearest.clip(0, height - 1)
        tops = np.where(found, self._tops[nearest, self._columns], 0)
        return tops, np.where(found, self._bottoms[nearest, self._columns], 0)


def _last(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the largest value so far in each column."""
    largest: NDArray[np.int32] = np.maximum.accumulate(values, axis=0)
    return largest


def _next(values: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the smallest value from here on in each column."""
    smallest: NDArray[np.int32] = np.minimum.accumulate(values[::-1], axis=0)[::-1]
    return smallest
