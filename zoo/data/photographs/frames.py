"""Boxes, circles and lines that someone drew around, under or through a digit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.data.mnist_format import bounding_box
from zoo.data.photographs.lines import Line, erase_lines, find_lines

Mask = NDArray[np.bool_]

MIN_INSIDE = 0.3
"""What a frame is around is at least this high, relative to the frame."""
MIN_INSIDE_TOUCHING = 0.4
"""The same where it touches the frame. The crossing in the middle of an 8 is less high."""
MIN_ROUNDNESS = 0.94
"""Overlap of a circle drawn by hand with the ellipse that fits best (intersection over union)."""
MAX_FRAME_THICKNESS = 0.12
"""Maximum thickness of a frame relative to its shorter side."""
OVERHANG = 0.07
"""A line under or through a digit goes beyond it by at least this share of the digit's height, on both sides."""
MAX_LINES = 12
"""Lines in each direction that are looked at, the longest ones: there are many in a noisy picture."""
FOOT = 0.6
"""A line under or through the foot is below this share of the digit's height."""


def remove_boxes(mask: Mask, lines: Sequence[Line]) -> Mask | None:
    """Return a mask without the boxes that lines form around other ink, or None if there are none."""
    removed = None
    for box in _boxes(lines):
        rest = erase_lines(mask if removed is None else removed, box)
        top, bottom, left, right = (line.level for line in box)
        inside = rest[max(0, round(top)) : round(bottom) + 1, max(0, round(left)) : round(right) + 1]
        if _height(inside) >= MIN_INSIDE * (bottom - top):
            removed = rest
    return removed


def _boxes(lines: Sequence[Line]) -> Iterator[tuple[Line, Line, Line, Line]]:
    """Yield the top, bottom, left and right of each box."""
    flat, upright = (sorted(_longest(lines, vertical), key=lambda line: line.level) for vertical in (False, True))
    for top, bottom in combinations(flat, 2):
        for left, right in combinations(upright, 2):
            width, height = right.level - left.level, bottom.level - top.level
            near = 0.1 * max(width, height) + 3
            corners = (
                *(abs(line.start - left.level) for line in (top, bottom)),
                *(abs(line.end - right.level) for line in (top, bottom)),
                *(abs(line.start - top.level) for line in (left, right)),
                *(abs(line.end - bottom.level) for line in (left, right)),
            )
            if max(corners) <= near and min(width, height) > 4 * max(top.thickness, left.thickness):
                yield top, bottom, left, right


def remove_enclosures(mask: Mask) -> Mask | None:
    """Return a mask without the components that go around another one, or None if there are none."""
    import cv2

    count, components, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    order = sorted(range(1, count), key=lambda label: -int(stats[label, 2]) * int(stats[label, 3]))
    removed = None
    for label in order[:8]:
        left, top, width, height, area = (int(value) for value in stats[label])
        part = components[top : top + height, left : left + width]
        filled = _fill(part == label)
        if min(width, height) < 20 or area > 0.5 * filled.sum():
            continue
        if _height(filled & (part > 0) & (part != label)) >= MIN_INSIDE * height:
            removed = (mask if removed is None else removed) & (components != label)
    return removed


def remove_touching_frame(mask: Mask) -> Mask | None:
    """Return a mask without a circle or a box that touches what it is around, or None if there is none.

    Args:
        mask: The mask of the digit and the frame, and of nothing else, ``(H, W)``.
    """
    import cv2

    filled = _fill(mask)
    outlines, _ = cv2.findContours(filled.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    if not outlines:
        return None
    outline = max(outlines, key=cv2.contourArea)
    area = float(cv2.contourArea(outline))
    if len(outline) < 40 or not _is_frame_shaped(filled, outline, area):
        return None
    depth = cv2.distanceTransform(np.pad(filled, 1).astype(np.uint8), cv2.DIST_L2, 5)[1:-1, 1:-1]
    thickest = MAX_FRAME_THICKNESS * min(cv2.minAreaRect(outline)[1])
    thickness = next(
        (d for d in range(1, int(thickest) + 2) if mask[(depth > d) & (depth <= d + 1)].mean() < 0.5), None
    )
    if thickness is None:
        return None
    rest = mask & (depth > thickness + 1)
    rows = np.flatnonzero(filled.any(axis=1))
    return rest if _height(rest) >= MIN_INSIDE_TOUCHING * (rows[-1] - rows[0] + 1) else None


def remove_foot_line(mask: Mask) -> Mask | None:
    """Return a mask without a line under or through the digit's foot, or None if there is none.

    Args:
        mask: The mask of the digit and the line, and of nothing else, ``(H, W)``.
    """
    for line in _longest(find_lines(mask), vertical=False):
        rest = erase_lines(mask, [line])
        if not rest.any():
            continue
        top, bottom, left, right = bounding_box(rest)
        height, overhang = bottom - top, OVERHANG * (bottom - top)
        through_foot = line.level > top + FOOT * height
        wider = line.start < left - overhang and line.end > right + overhang
        if through_foot and wider and line.length > 0.6 * height:
            return rest
    return None


def _longest(lines: Sequence[Line], vertical: bool) -> list[Line]:
    """Return the longest lines in one direction, the longest first."""
    return sorted((line for line in lines if line.vertical == vertical), key=lambda line: -line.length)[:MAX_LINES]


def _is_frame_shaped(filled: Mask, outline: NDArray[Any], area: float) -> bool:
    """Return whether a filled outline is nearly an ellipse or nearly a rectangle."""
    import cv2

    sides = cv2.minAreaRect(outline)[1]
    if area > 0.93 * sides[0] * sides[1]:
        return True
    ellipse = np.zeros(filled.shape, np.uint8)
    cv2.ellipse(ellipse, cv2.fitEllipse(outline), 1, -1)
    overlap = float((filled & (ellipse > 0)).sum())
    return overlap / float((filled | (ellipse > 0)).sum()) > MIN_ROUNDNESS


def _fill(mask: Mask) -> Mask:
    """Return a mask with its holes filled."""
    import cv2

    outlines, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros(mask.shape, np.uint8)
    cv2.drawContours(filled, outlines, -1, 1, cv2.FILLED)
    return filled > 0


def _height(mask: Mask) -> int:
    """Return the height of the highest component of a mask."""
    import cv2

    _, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    return int(stats[1:, 3].max(initial=0))
