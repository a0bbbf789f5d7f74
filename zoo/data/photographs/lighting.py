"""The light on a photographed page: shadows, vignettes, and what lies around and on the page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

PAPER_WINDOW = 0.12
"""Size of the window in which the lightest part is paper, as a share of the picture's longer side. Strokes of a digit
in a photograph are narrower, and desks, fingers and shadows are wider."""
DARKEST_PAPER = 0.4
"""Paper is at least this light, relative to the lightest. Where there is less light, noise would look like ink."""
SHADED = 0.75
"""What is darker than this share of the lightest paper may be a shadow, a desk or a finger."""
SMOOTH_SHADE = 0.52
"""What is darker than this is one of these even where the light changes slowly, as in a vignette."""
DEEP_SHADE = 0.4
"""What is darker than this is not looked at: there is no paper, or too little light."""
SHARP_EDGE = 0.78
"""Light on one side of an edge, relative to that on the other side. Even light changes less over a short distance."""
MIN_SHADED_SHARE = 0.008
"""Minimum area of a shadow, desk or finger as a share of the picture."""

WIDE_INK = 0.6
"""What is darker than this share of the lightest paper, wide, and inside the picture, is a bold digit."""
MIN_WIDE_INK_SHARE = 0.002
"""Its minimum area as a share of the picture."""
MIN_PAGE_SHARE = 0.15
"""Minimum area of a page with dark all around it, as a share of the picture."""
MIN_RECTANGULARITY = 0.7
"""Minimum area of such a page as a share of the rectangle around it. The light in a vignette is round: 0.79."""


@dataclass(frozen=True)
class Lighting:
    """A page with its light levelled.

    Args:
        ink: Darkness of each pixel relative to the paper around it, ``(H, W)`` in [0, 1].
        paper: Estimated lightness of the paper without the ink on it, uint8 ``(H, W)``.
        edges: Where the light changes abruptly, ``(H, W)``: at the edge of a shadow, of the page or of a finger.
        surroundings: Parts that touch the picture's border and are much darker than the paper, ``(H, W)``.
        uneven: Whether there is a shadow, a desk, a finger or a vignette.
        wide_ink: Whether there are strokes wider than the window, or a light digit on a dark page, so that the rest
            says nothing.
    """

    ink: Array
    paper: Levels
    edges: Mask
    surroundings: Mask
    uneven: bool
    wide_ink: bool


def is_light_on_dark(grey: Levels) -> bool:
    """Return whether the ink is lighter than the page, for grey levels ``(H, W)``.

    A median over a wide window is the page where ink is the smaller part of it, also beside a desk.
    """
    import cv2

    scale = min(1.0, 250 / max(grey.shape))
    small = cv2.resize(grey, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    window = int(0.2 * max(small.shape)) | 1
    page = cv2.medianBlur(np.pad(small, window // 2, mode="edge"), window)
    inner = slice(window // 2, -(window // 2))
    page = page[inner, inner]
    difference = small.astype(np.float32) - page
    difference = np.sign(difference) * (np.abs(difference) - 20).clip(min=0)  # slow changes of the light are no ink
    near = np.ones((window // 2 | 1,) * 2, np.uint8)
    # At the corners of a page on a desk, the median is the desk.
    at_edges = cv2.dilate(page, near).astype(np.int16) - cv2.erode(page, near) > 40
    inside = np.where(at_edges, 0, difference)
    if np.square(inside).sum() > 0.05 * np.square(difference).sum():
        difference = inside
    return float(np.square(difference.clip(min=0)).sum()) > float(np.square(difference.clip(max=0)).sum())


def level_light(grey: Levels) -> Lighting:
    """Level the light of a page with dark ink, grey levels ``(H, W)``.

    The paper is the grey closing: a maximum and then a minimum over a window fill what is dark and narrow, and leave
    the straight edges of wide shadows where they are.
    """
    import cv2

    longest = max(grey.shape)
    smooth = cv2.GaussianBlur(grey, (0, 0), max(0.7, longest / 1000))
    window = int(PAPER_WINDOW * longest) | 1
    # What touches the border goes on beyond it, so that a strip of the desk counts as wide.
    padded = cv2.copyMakeBorder(smooth, window, window, window, window, cv2.BORDER_REPLICATE)
    closed = cv2.morphologyEx(padded, cv2.MORPH_CLOSE, np.ones((window, window), np.uint8))
    paper: Levels = closed[window:-window, window:-window].astype(np.uint8)
    lightest = max(float(np.quantile(paper, 0.95)), 1.0)
    ink = (paper.astype(np.float32) - smooth) / np.maximum(paper, DARKEST_PAPER * lightest)
    # The lightest pixel in a window is lighter than the paper by as much as the noise is strong.
    floor = float(np.median(ink))
    ink = ((ink - floor) / max(1 - floor, 0.01)).clip(0, 1).astype(np.float32)
    near = np.ones((int(0.025 * longest) | 1,) * 2, np.uint8)
    sharp = cv2.erode(paper, near) < SHARP_EDGE * cv2.dilate(paper, near).astype(np.float32)
    surroundings = _surroundings(paper, lightest)
    uneven = _is_uneven(paper, lightest, sharp, surroundings)
    wide_ink = _has_wide_ink(paper, lightest, surroundings) or (uneven and _is_no_page(surroundings))
    return Lighting(ink, paper, sharp, surroundings, uneven, wide_ink)


def _surroundings(paper: Levels, lightest: float) -> Mask:
    """Return the dark parts that touch the picture's border."""
    import cv2

    dark = (paper < SHADED * lightest).astype(np.uint8)
    _, components = cv2.connectedComponents(np.pad(dark, 1), connectivity=4)
    components = components[1:-1, 1:-1]
    border = np.concatenate([components[0], components[-1], components[:, 0], components[:, -1]])
    labels = np.unique(border[border > 0])
    return np.isin(components, labels)


def _is_uneven(paper: Levels, lightest: float, sharp: Mask, surroundings: Mask) -> bool:
    import cv2

    if float(surroundings.mean()) < MIN_SHADED_SHARE:
        return False
    if float((surroundings & (paper < SMOOTH_SHADE * lightest)).mean()) >= MIN_SHADED_SHARE:
        return True
    inside = surroundings.astype(np.uint8)
    outline = cv2.morphologyEx(inside, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).astype(bool)
    return float(sharp[outline].mean()) > 0.4


def _has_wide_ink(paper: Levels, lightest: float, surroundings: Mask) -> bool:
    """Return whether something dark and wide does not touch the picture's border."""
    inside = (paper < WIDE_INK * lightest) & ~surroundings
    return float(inside.mean()) >= MIN_WIDE_INK_SHARE


def _is_no_page(surroundings: Mask) -> bool:
    """Return whether what has dark all around is no page, because it is not nearly rectangular."""
    import cv2

    border = np.concatenate([surroundings[0], surroundings[-1], surroundings[:, 0], surroundings[:, -1]])
    if border.mean() < 0.9:
        return False
    outlines, _ = cv2.findContours((~surroundings).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return True
    outline = max(outlines, key=cv2.contourArea)
    width, height = cv2.minAreaRect(outline)[1]
    area = float(cv2.contourArea(outline))
    return area < MIN_PAGE_SHARE * surroundings.size or area < MIN_RECTANGULARITY * width * height
