"""Straight lines in a mask of ink: finding them, and taking them away without the strokes that cross them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.photographs.runs import Rows, Runs

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

MAX_TILT = 12
"""Greatest angle between a line and the picture's side, in degrees."""
MIN_LENGTH = 0.12
"""Minimum length of a line as a share of the picture's shorter side."""
MAX_THICKNESS = 0.035
"""Maximum thickness of a line as a share of the picture's longer side."""
MIN_ASPECT = 7
"""Minimum length of a line in units of its thickness."""
MAX_VOTES = 20_000
MAX_CANDIDATES = 150
"""Number of candidates that are looked at, those with the most pixels first. Neighbors count as one."""


@dataclass(frozen=True)
class Line:
    """A line that is nearly horizontal, or nearly vertical if ``vertical``; then rows and columns change places.

    Args:
        rows: The line's row at each column of the picture, ``(W,)``.
        start: First column.
        end: Last column.
        thickness: In pixels.
        vertical: Whether it is nearly vertical.
    """

    rows: Array
    start: int
    end: int
    thickness: float
    vertical: bool

    @property
    def length(self) -> int:
        """Number of columns from the first to the last."""
        return self.end - self.start + 1

    @property
    def level(self) -> float:
        """The row in the middle of the line."""
        return float(self.rows[(self.start + self.end) // 2])


def find_lines(mask: Mask, min_length: float = MIN_LENGTH) -> list[Line]:
    """Return the straight, thin lines in a mask ``(H, W)``: rules, the sides of boxes, and strokes.

    Args:
        mask: ``(H, W)``.
        min_length: Minimum length as a share of the picture's shorter side.
    """
    shortest = min_length * min(mask.shape)
    return [
        *_horizontal_lines(np.ascontiguousarray(mask), False, shortest),
        *_horizontal_lines(np.ascontiguousarray(mask.T), True, shortest),
    ]


def erase_lines(mask: Mask, lines: Sequence[Line]) -> Mask:
    """Return a mask without some lines.

    In each column, the run of ink at the line is erased if it is about as high as the line is thick. A longer run
    belongs to a stroke that crosses the line.
    """
    for vertical in (False, True):
        parallel = [line for line in lines if line.vertical == vertical]
        if not parallel:
            continue
        turned = mask.T if vertical else mask
        runs, result = Runs(turned), turned.copy()
        columns = np.arange(turned.shape[1])
        for line in parallel:
            reach = int(np.ceil(line.thickness / 2 + 1))
            tops, bottoms = runs.near(line.rows, reach)
            erased = (columns >= line.start - reach) & (columns <= line.end + reach)
            erased &= bottoms - tops <= 1.6 * line.thickness + 2
            if erased.any():
                top, bottom = int(tops[erased].min()), int(bottoms[erased].max())
                places = np.arange(top, bottom)[:, None]
                result[top:bottom][erased & (places >= tops) & (places < bottoms)] = False
        mask = result.T if vertical else result
    return mask


def spans(line: Line, page: Mask) -> bool:
    """Return whether a line goes from one edge of the page ``(H, W)`` to the other."""
    page = page.T if line.vertical else page
    height, width = page.shape
    columns = np.arange(width)
    rows = np.rint(line.rows).astype(int)
    inside = (rows >= 0) & (rows < height)
    inside &= page[rows.clip(0, height - 1), columns]
    if inside.sum() < 0.4 * width:
        return False
    covered = (columns >= line.start) & (columns <= line.end)
    return float(covered[inside].mean()) >= 0.93


def _horizontal_lines(mask: Mask, vertical: bool, min_length: float) -> Iterator[Line]:
    import cv2

    width = mask.shape[1]
    longest = max(mask.shape)
    tilt = np.deg2rad(MAX_TILT)
    runs = Runs(mask)
    # Where the ink is higher than any line is thick, there is no part of one. Bold strokes would give many candidates.
    thin = mask & (runs.heights() <= 1.6 * MAX_THICKNESS * longest + 1)
    votes = cv2.HoughLines(
        thin.astype(np.uint8),
        rho=1,
        theta=np.pi / 360,
        threshold=max(12, int(0.8 * min_length)),
        min_theta=np.pi / 2 - tilt,
        max_theta=np.pi / 2 + tilt,
    )
    if votes is None:
        return
    ends = np.empty((0, 2))
    found: list[Line] = []
    apart = max(4.0, 0.008 * longest)
    tried = 0
    rho, theta = votes.reshape(-1, votes.shape[-1])[:MAX_VOTES, :2].astype(np.float64).T
    candidates = np.stack([rho / np.sin(theta), (rho - width * np.cos(theta)) / np.sin(theta)], axis=1)
    # One of each group of neighbors, that with the most votes.
    _, first = np.unique(np.floor(candidates / apart), axis=0, return_index=True)
    for left, right in candidates[np.sort(first)].tolist():
        if len(ends) and (np.abs(ends - (left, right)).max(axis=1) < apart).any():
            continue
        tried += 1
        if tried > MAX_CANDIDATES:
            return
        ends = np.vstack([ends, (left, right)])
        line = _follow(runs, np.linspace(left, right, width), vertical, min_length)
        if line is not None and not any(_is_same(line, other) for other in found):
            ends = np.vstack([ends, (line.rows[0], line.rows[-1])])
            found.append(line)
            yield line


def _is_same(line: Line, other: Line) -> bool:
    """Return whether most of a line lies on another one."""
    start, end = max(line.start, other.start), min(line.end, other.end)
    if end - start < 0.7 * line.length:
        return False
    distance = np.abs(line.rows[start : end + 1] - other.rows[start : end + 1])
    return float(distance.mean()) <= max(line.thickness, other.thickness)


def _follow(runs: Runs, rows: Array, vertical: bool, min_length: float) -> Line | None:
    """Return the line near the given rows ``(W,)``, one for each column, or None if there is no thin line."""
    width = runs.mask.shape[1]
    longest = max(runs.mask.shape)
    reach = max(3, round(0.006 * longest))
    centers, lengths = _measure(runs, rows, reach)
    found = np.flatnonzero(lengths > 0)
    if len(found) < 0.8 * min_length:
        return None
    thickness = float(np.quantile(lengths[found], 0.3))
    if thickness > MAX_THICKNESS * longest:
        return None
    for _ in range(2):
        thin = found[(lengths[found] <= 1.6 * thickness + 1) & (np.abs(centers[found] - rows[found]) <= reach)]
        if len(thin) < 0.4 * min_length:
            return None
        # A page is not quite flat, and a lens bends lines a little.
        degree = 2 if thin[-1] - thin[0] > 0.5 * width else 1
        rows = np.polynomial.Polynomial.fit(thin, centers[thin], degree)(np.arange(width))
        reach = max(2, int(np.ceil(thickness / 2 + 1)))
        centers, lengths = _measure(runs, rows, reach)
        found = np.flatnonzero(lengths > 0)
        if not len(found):
            return None
    start, end = _longest_stretch(lengths > 0, max(3, round(0.02 * width)))
    thickness = float(np.quantile(lengths[start : end + 1][lengths[start : end + 1] > 0], 0.3))
    length = end - start + 1
    if length < min_length or length < MIN_ASPECT * thickness:
        return None
    # Most of a line is as thin as its thinnest parts. A curved stroke is not.
    part = lengths[start : end + 1]
    if float((part[part > 0] <= 1.6 * thickness + 2).mean()) < 0.5:
        return None
    return Line(rows, start, end, thickness, vertical)


def _measure(runs: Runs, rows: Array, reach: int) -> tuple[Array, Rows]:
    """Return the center and the length of the run near each row, ``(W,)`` each. The length is 0 where there is none."""
    tops, bottoms = runs.near(rows, reach)
    return (tops + bottoms - 1) / 2, bottoms - tops


def _longest_stretch(covered: Mask, max_gap: int) -> tuple[int, int]:
    """Return the first and last index of the longest stretch that is covered but for gaps of at most ``max_gap``."""
    places = np.flatnonzero(covered)
    breaks = np.flatnonzero(np.diff(places) > max_gap + 1)
    starts, ends = places[np.r_[0, breaks + 1]], places[np.r_[breaks, len(places) - 1]]
    best = int(np.argmax(ends - starts))
    return int(starts[best]), int(ends[best])
