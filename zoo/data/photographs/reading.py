"""Finding the digit in a photograph: the light is levelled, and everything but the digit is taken away."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from zoo.data.mnist_format import bounding_box
from zoo.data.photographs.frames import remove_boxes, remove_enclosures, remove_foot_line, remove_touching_frame
from zoo.data.photographs.lighting import DEEP_SHADE, Lighting, is_light_on_dark, level_light
from zoo.data.photographs.lines import erase_lines, find_lines, spans
from zoo.data.picture_colors import downscaled_colors, grey_levels
from zoo.data.plain_pictures import MIN_DIGIT_SIZE, crop, size_of

Array = NDArray[np.floating[Any]]
Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

PHOTOGRAPH_SIZE = 800
"""Photographs are downscaled to at most this size in pixels: thin strokes and thin rules are still apart."""
MIN_PHOTOGRAPH_SIZE = 64
"""In smaller pictures there is no room for anything but a digit."""

MIN_RULE = 0.35
"""Minimum length of a rule as a share of the picture's shorter side."""
MIN_FAINT = 0.05
"""Minimum darkness of faint rules and stains, relative to the paper."""
MIN_MARKS = 0.08
"""Other marks are mentioned if they have more than this share of the digit's ink."""

UNEVEN_LIGHT = "A shadow, a desk, a finger or a dark edge is in the picture: the light was levelled."
RULES = "There are rules on the paper: they were taken away."
FRAME = "There is a box or a circle around the digit: it was taken away."
FOOT_LINE = "There is a line under or through the digit: it was taken away."
OTHER_MARKS = "There are other marks beside the digit: they were left out."


@dataclass
class Reading:
    """The digit in a photograph.

    Args:
        ink: Darkness of each pixel relative to the paper around it, ``(H, W)`` in [0, 1].
        mask: The digit's pixels, ``(H, W)``.
        notes: Sentences on what else is in the picture.
        all_ink: All pixels of ink, before anything was taken away, ``(H, W)``.
        all_ink_levels: ``ink`` before anything was taken away, ``(H, W)``.
        removed: Pixels of rules that were taken away, faint ones included, ``(H, W)``.
    """

    ink: Array
    mask: Mask
    all_ink: Mask
    all_ink_levels: Array
    removed: Mask
    notes: list[str] = field(default_factory=list)


def find_photographed_digit(image: Image.Image, remove_frames: bool = True) -> Reading | None:
    """Find the digit in a photograph, in a second look from nearby if it is small.

    Args:
        image: The picture, with 8 bits a channel.
        remove_frames: As for `read_photograph`.

    Returns:
        The digit, or None if the picture is plain.
    """
    if min(image.size) < MIN_PHOTOGRAPH_SIZE:
        return None
    grey = grey_levels(downscaled_colors(image, PHOTOGRAPH_SIZE))
    reading = read_photograph(grey, remove_frames)
    if reading is None:
        return None
    box = bounding_box(reading.mask)
    if size_of(box) < MIN_DIGIT_SIZE and max(image.size) > PHOTOGRAPH_SIZE:
        closer = crop(image, grey.shape, box, 1.0)
        again = read_photograph(grey_levels(downscaled_colors(closer, PHOTOGRAPH_SIZE)), remove_frames)
        if again is not None:
            again.notes = list(dict.fromkeys([*reading.notes, *again.notes]))
            return again
    return reading


def read_photograph(grey: Levels, remove_frames: bool = True) -> Reading | None:
    """Find the digit in a photograph.

    Args:
        grey: Grey levels, ``(H, W)``, of which the longer side is at most `PHOTOGRAPH_SIZE`.
        remove_frames: Whether boxes and circles around the digit and lines under it are taken away.

    Returns:
        The digit, or None if the picture is plain: one or several digits in even light, and nothing else.
    """
    if min(grey.shape) < MIN_PHOTOGRAPH_SIZE:
        return None
    if is_light_on_dark(grey):
        grey = 255 - grey
    light = level_light(grey)
    if light.wide_ink:
        return None
    all_ink = _threshold(light)
    if not all_ink.any():
        return None
    reading = Reading(light.ink, all_ink, all_ink, light.ink, np.zeros_like(all_ink))
    if light.uneven:
        reading.notes.append(UNEVEN_LIGHT)
        reading.mask = _without_edges(reading.mask, light)
    faint = _faint(light, all_ink)
    _remove_rules(reading, light, faint)
    if remove_frames:
        _remove_separate_frames(reading)
    if not reading.mask.any():
        return None
    reading.mask, others = _choose(reading.mask, light)
    if remove_frames:
        _remove_touching_frames(reading, light)
    if others or _are_marks(faint, reading, light):
        reading.notes.append(OTHER_MARKS)
    reading.ink = _ink_of(reading)
    return reading if reading.notes else None


def _threshold(light: Lighting) -> Mask:
    """Return the pixels of ink."""
    import cv2

    levels = (light.ink * 255).astype(np.uint8)
    strongest = float(np.quantile(levels, 0.998))
    otsu, _ = cv2.threshold(levels, 0, 255, cv2.THRESH_BINARY | cv2.THRESH_OTSU)
    threshold = max(min(float(otsu), 0.55 * strongest), 0.3 * strongest, 20)
    mask = cv2.morphologyEx((levels > threshold).astype(np.uint8), cv2.MORPH_CLOSE, np.ones((2, 2), np.uint8))
    return mask.astype(bool)


def _without_edges(mask: Mask, light: Lighting) -> Mask:
    """Return a mask without what is mostly at an abrupt change of the light, or in the dark."""
    import cv2

    dark = light.surroundings & (light.paper < DEEP_SHADE * float(np.quantile(light.paper, 0.95)))
    doubtful = light.edges | dark
    count, components = cv2.connectedComponents(mask.astype(np.uint8))
    shares = np.bincount(components[mask & doubtful], minlength=count) / np.bincount(
        components[mask], minlength=count
    ).clip(1)
    kept: Mask = mask & (shares <= 0.5)[components]
    return kept


def _faint(light: Lighting, ink: Mask) -> Mask:
    """Return the pixels of all ink, printed rules and stains that are fainter than the digit included."""
    noise = float(np.quantile(light.ink, 0.75)) / 0.67  # a quarter of normal noise is above 0.67 deviations
    return (light.ink > max(MIN_FAINT, 4 * noise)) | ink


def _are_marks(faint: Mask, reading: Reading, light: Lighting) -> bool:
    """Return whether there is much faint ink besides the digit and what was taken away."""
    import cv2

    size = max(5, round(0.02 * max(faint.shape)) | 1)
    known = cv2.dilate((reading.all_ink | reading.removed).astype(np.uint8), np.ones((size, size), np.uint8)).astype(
        bool
    )
    rest = _without_specks(faint & ~known & ~light.edges & ~light.surroundings, max(12, 1e-4 * faint.size))
    return float(light.ink[rest].sum()) > MIN_MARKS * float(light.ink[reading.mask].sum())


def _remove_rules(reading: Reading, light: Lighting, faint: Mask) -> None:
    page = ~(light.surroundings & (light.paper < DEEP_SHADE * float(np.quantile(light.paper, 0.95))))
    kept = _without_edges(faint, light) if light.uneven else faint
    rules = [line for line in find_lines(kept, MIN_RULE) if spans(line, page)]
    kept, rest = erase_lines(kept, rules), erase_lines(reading.mask, rules)
    if rules:
        reading.removed = faint & ~kept
        # Where a line is a little thicker than elsewhere, specks are left of it.
        rest = _without_specks(rest, 6 * max(line.thickness for line in rules) ** 2)
    if rules and rest.sum() > 0.02 * reading.mask.sum():
        reading.mask = rest
        reading.notes.append(RULES)


def _without_specks(mask: Mask, area: float) -> Mask:
    """Return a mask without components of at most a number of pixels."""
    import cv2

    _, components, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    kept: Mask = mask & (stats[:, cv2.CC_STAT_AREA] > area)[components]
    return kept


def _remove_separate_frames(reading: Reading) -> None:
    for rest in (remove_enclosures(reading.mask), remove_boxes(reading.mask, find_lines(reading.mask))):
        if rest is not None:
            reading.mask = reading.mask & rest
            if FRAME not in reading.notes:
                reading.notes.append(FRAME)


def _remove_touching_frames(reading: Reading, light: Lighting) -> None:
    for remove, note in ((remove_touching_frame, FRAME), (remove_foot_line, FOOT_LINE)):
        if (rest := remove(reading.mask)) is not None:
            reading.notes.append(note)
            reading.mask, _ = _choose(rest, light)


def _choose(mask: Mask, light: Lighting) -> tuple[Mask, bool]:
    """Return the components that are most likely the digit, and whether there are other marks.

    What looks like further digits side by side with it is kept.
    """
    import cv2

    height, width = mask.shape
    gap = max(1, round(0.012 * max(mask.shape)))
    joined = cv2.dilate(mask.astype(np.uint8), np.ones((2 * gap + 1,) * 2, np.uint8))
    count, groups, stats, centers = cv2.connectedComponentsWithStats(joined)
    weights = np.bincount(groups[mask], weights=light.ink[mask], minlength=count)
    lefts, tops, widths, heights = (stats[:, place].astype(float) for place in range(4))
    widths, heights = widths - 2 * gap, heights - 2 * gap
    distance = np.hypot(centers[:, 0] / width - 0.5, centers[:, 1] / height - 0.5)
    scores = weights * np.exp(-2 * np.square(distance / 0.5))
    at_border = (lefts <= 0) | (tops <= 0) | (lefts + widths + 2 * gap >= width) | (tops + heights + 2 * gap >= height)
    scores[at_border] *= 0.3
    scores[widths > 5 * heights] *= 0.1  # a line, and no digit
    scores[0] = 0
    best = int(scores.argmax())
    # Parts of the digit that a removed line has cut off are near it.
    near = 0.12 * heights[best]
    apart = np.maximum.reduce(
        [
            lefts[best] - (lefts + widths),
            lefts - (lefts[best] + widths[best]),
            tops[best] - (tops + heights),
            tops - (tops[best] + heights[best]),
        ]
    )
    kept = (apart <= near) & (weights >= 0.03 * weights[best]) & ~(widths > 5 * heights)
    kept |= _are_beside(tops, heights, best) & ~at_border & (widths < 3 * heights)
    kept[best], kept[0] = True, False
    others = weights[~kept & (np.arange(count) > 0)]
    return mask & kept[groups], bool(len(others) and others.sum() > MIN_MARKS * weights[kept].sum())


def _are_beside(tops: Array, heights: Array, best: int) -> Mask:
    """Return which groups are about as high as the best one and at about the same level."""
    common = np.minimum(tops + heights, tops[best] + heights[best]) - np.maximum(tops, tops[best])
    similar = (heights > 0.6 * heights[best]) & (heights < heights[best] / 0.6)
    beside: Mask = similar & (common > 0.6 * np.minimum(heights, heights[best]))
    return beside


def _ink_of(reading: Reading) -> Array:
    """Return the ink with everything but the digit taken away, the soft edges of its strokes included."""
    import cv2

    removed = (reading.all_ink | reading.removed) & ~reading.mask
    removed = cv2.dilate(removed.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool) & ~reading.mask
    return np.where(removed, 0, reading.ink).astype(np.float32)
