"""Vertical runs of ink in a mask: how high the ink is in each column, at a given place."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]
Rows = NDArray[np.int64]
Indices = NDArray[np.signedinteger[Any]]


class Runs:
    """The vertical runs of ink in a mask.

    Args:
        mask: ``(H, W)``.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self._height = height = len(mask)
        # Half as many bytes take half as long.
        self._rows = rows = np.arange(height, dtype=np.int16 if height < 2**14 else np.int32)[:, None]
        self._tops = _last(np.where(mask, -1, rows)) + 1
        self._bottoms = _next(np.where(mask, height, rows))
        self._columns = np.arange(mask.shape[1])

    @cached_property
    def _above(self) -> Indices:
        """The row of the last ink down to each pixel."""
        return _last(np.where(self.mask, self._rows, -self._height))

    @cached_property
    def _below(self) -> Indices:
        """The row of the next ink from each pixel on."""
        return _next(np.where(self.mask, self._rows, 2 * self._height))

    def heights(self) -> Indices:
        """Return the height of the run that each pixel of ink is in, ``(H, W)``. Elsewhere the value means nothing."""
        return self._bottoms - self._tops

    def near(self, rows: NDArray[np.floating[Any]], reach: int) -> tuple[Rows, Rows]:
        """Return the run that is nearest to a given row in each column.

        Args:
            rows: One row for each column, ``(W,)``.
            reach: Greatest distance of the run from the row.

        Returns:
            The first row of each run and the row after its last, ``(W,)`` each. They are equal where there is no run.
        """
        height = self._height
        middle = np.rint(rows).astype(np.int64)
        places = middle.clip(0, height - 1)
        above, below = self._above[places, self._columns], self._below[places, self._columns]
        nearest = np.where(middle - above <= below - middle, above, below)
        found = np.abs(nearest - middle) <= reach
        nearest = nearest.clip(0, height - 1)
        tops = np.where(found, self._tops[nearest, self._columns], 0)
        return tops, np.where(found, self._bottoms[nearest, self._columns], 0)


def _last(values: Indices) -> Indices:
    """Return the largest value so far in each column."""
    largest: Indices = np.maximum.accumulate(values, axis=0)
    return largest


def _next(values: Indices) -> Indices:
    """Return the smallest value from here on in each column."""
    smallest: Indices = np.minimum.accumulate(values[::-1], axis=0)[::-1]
    return smallest
