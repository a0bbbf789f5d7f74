"""A picture of a digit, as a person has it, made into what the networks know: MNIST's form.

MNIST was made so: the digit was fitted into a box of 20×20 pixels, its proportions kept, with grey levels from
smoothing, and the box was put into 28×28 pixels with the digit's centre of mass in the middle (LeCun, Bottou, Bengio
and Haffner, "Gradient-based learning applied to document recognition", 1998, section III.A).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from zoo.data.image_files import WORKING_SIDE, open_picture, small_colors
from zoo.utils.errors import UsageError

SIDE = 28
BOX = 20
MIDDLE = 14.0
"""Where the centre of mass lies in MNIST, in pixels from 0: measured, 13.996 and 14.007 over the training images."""

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""How bright red, green and blue are (ITU-R BT.601)."""

SMALL_DIGIT = 96
"""A digit that is smaller than this in a picture of the working size is looked at again, enlarged."""

LEAST_CONTRAST = 0.08
"""Between the digit and what it stands on, of 1; less is a blank page with noise."""
SPECK = 0.03
"""Parts of less than this share of the largest one's ink are dust."""
THINNEST_STROKE = 1.9
"""Pixels in the box of 20; thinner ones, which would turn grey, are thickened. MNIST's median is 2.5."""

Array = NDArray[np.floating[Any]]
Picture = str | Path | bytes | Image.Image | NDArray[Any] | Tensor


@dataclass(frozen=True)
class Digit:
    """A picture in MNIST's form.

    Args:
        pixels: float32 ``(1, 28, 28)`` in [0, 1], the digit bright.
        notes: What the person should know, a sentence each: empty when nothing was odd.
    """

    pixels: Tensor
    notes: tuple[str, ...] = ()


def preprocess(picture: Picture, centre: bool = True) -> Tensor:
    """Make a picture of one digit into what every member of the zoo takes.

    Dark on light or light on dark, painted or photographed, of any size, with or without transparency.

    Args:
        picture: A file, its bytes, a PIL image, or pixels ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``, of 0 to 255 when
            they are whole numbers and of 0 to 1 when not.
        centre: Whether the centre of mass is put into the middle, as in MNIST, or the middle of the digit's box.

    Returns:
        float32 ``(1, 28, 28)`` in [0, 1], the digit bright; a batch is ``preprocess(picture).unsqueeze(0)``.

    Raises:
        UsageError: The file cannot be read, or there is nothing in it that stands out.
    """
    return read_digit(picture, centre).pixels


def resize(picture: Picture) -> Tensor:
    """Return a picture as it is, but grey and of 28×28 pixels, its sides made equal: float32 ``(1, 28, 28)`` in [0, 1].

    For pictures of other things than one that is drawn or written; `preprocess` says what is accepted and raised.
    """
    colors = small_colors(open_picture(picture, []))
    grey = Image.fromarray((colors @ LUMA * 255).round().astype(np.uint8))
    if grey.size != (SIDE, SIDE):
        grey = grey.resize((SIDE, SIDE), Image.Resampling.BOX if max(grey.size) > SIDE else Image.Resampling.BICUBIC)
    return torch.from_numpy(np.array(grey, dtype=np.float32) / 255).unsqueeze(0)


def read_digit(picture: Picture, centre: bool = True) -> Digit:
    """Do as `preprocess` does, and say what was odd."""
    notes: list[str] = []
    image = open_picture(picture, notes)
    ink = _ink(small_colors(image))
    found = _digit_mask(ink)
    if found is None:
        raise UsageError("There is nothing in this picture that stands out: it needs a digit on a plain background.")
    top, bottom, left, right = _box(found)
    if max(bottom - top, right - left) < SMALL_DIGIT and max(image.size) > WORKING_SIDE:
        closer = _ink(small_colors(_part_of(image, ink.shape, (top, bottom, left, right))))
        again = _digit_mask(closer)
        if again is not None:
            ink, found = closer, again
    if (digits := _digits_in(found)) > 1:
        notes.append(f"It looks like {digits} digits side by side, and only pictures of one are read right.")
    return Digit(torch.from_numpy(_as_mnist(ink, found, centre).astype(np.float32)).unsqueeze(0), tuple(notes))


def _ink(colors: Array) -> Array:
    """Return how much each pixel differs from the background around it, ``(H, W)`` in [0, 1]."""
    background = _background(colors)
    along = _main_direction(colors - background)
    levels = (colors - background) @ along
    if float(np.square(levels.clip(min=0)).sum()) < float(np.square(levels.clip(max=0)).sum()):
        levels = -levels
    # What is left of the picture when everything narrower than this is taken away is light and shadow.
    width = max(3, int(0.4 * max(levels.shape)))
    ground = ndimage.grey_opening(levels, size=width, mode="nearest")
    ground = ndimage.uniform_filter(ground, size=max(3, width // 2), mode="nearest")
    ink: Array = (levels - ground).clip(0, 1).astype(np.float32)
    return ink


def _background(colors: Array) -> Array:
    """Return the color of the ground, ``(3,)``: the margin's, unless there is little of it, as there is of a frame."""
    border = np.concatenate([colors[0], colors[-1], colors[:, 0], colors[:, -1]])
    background: Array = np.median(border, axis=0)
    alike = np.abs(colors - background).max(axis=2) < 0.15
    if alike.mean() < 0.15:
        background = np.median(colors, axis=(0, 1))
    return background


def _main_direction(differences: Array) -> Array:
    """Return the direction in color space in which a picture varies most, of length 1: a digit may be red on green."""
    flat = differences.reshape(-1, 3).astype(np.float64)
    _, vectors = np.linalg.eigh(flat.T @ flat)
    along: Array = vectors[:, -1].astype(np.float32)
    return along


def _digit_mask(ink: Array) -> NDArray[np.bool_] | None:
    """Return which pixels are the digit's, or None when nothing stands out."""
    strongest = float(np.quantile(ink, 0.995)) if ink.size > 400 else float(ink.max())
    strongest = max(strongest, 0.5 * float(ink.max()))
    if strongest < LEAST_CONTRAST:
        return None
    marked = ink > max(_otsu(ink), 0.25 * strongest)
    parts, count = ndimage.label(marked, structure=np.ones((3, 3)))
    if count == 0:
        return None
    numbers = np.arange(1, count + 1)
    sizes = ndimage.sum_labels(ink, parts, numbers)
    boxes = ndimage.find_objects(parts)
    frames = np.array([_is_frame(parts[box] == number, ink.shape) for number, box in zip(numbers, boxes, strict=True)])
    if not frames.all():
        sizes = np.where(frames, 0, sizes)
    kept: NDArray[np.bool_] = np.isin(parts, numbers[sizes >= SPECK * sizes.max()])
    return kept


def _is_frame(part: NDArray[np.bool_], shape: tuple[int, ...]) -> bool:
    """Whether it surrounds the picture, or runs along a whole side of it, and holds little."""
    spans = [part.shape[axis] >= 0.97 * shape[axis] for axis in (0, 1)]
    return any(spans) and (all(spans) or min(part.shape) <= 0.06 * min(shape)) and float(part.mean()) < 0.2


def _otsu(values: Array) -> float:
    """Return the threshold that parts two groups of grey levels best (Otsu, IEEE Trans. Syst., Man, Cybern. 1979)."""
    counts, edges = np.histogram(values, bins=128)
    middles = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        means = sums / below - (sums[-1] - sums) / above
        spread = below * above * np.square(means)
    return float(edges[1:][int(np.nanargmax(np.where(above > 0, spread, np.nan)))]) if above.any() else 0.0


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Return top, bottom, left and right of what is marked, the ends exclusive."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def _part_of(image: Image.Image, shape: tuple[int, ...], box: tuple[int, int, int, int]) -> Image.Image:
    """Return the part of a picture around a box in its small version, with a margin."""
    scale = image.size[0] / shape[1]
    top, bottom, left, right = box
    margin = 0.5 * max(bottom - top, right - left)
    width, height = image.size
    return image.crop(
        (
            max(0, int((left - margin) * scale)),
            max(0, int((top - margin) * scale)),
            min(width, int((right + margin) * scale)),
            min(height, int((bottom + margin) * scale)),
        )
    )


def _digits_in(mask: NDArray[np.bool_]) -> int:
    """Guess how many digits there are: parts of about the same size beside each other."""
    # Parts that a gap of a few pixels divides are strokes of one digit.
    joined = ndimage.binary_dilation(mask, iterations=max(1, max(mask.shape) // 60))
    parts, _ = ndimage.label(joined, structure=np.ones((3, 3)))
    boxes = [box for box in ndimage.find_objects(parts) if box is not None]
    tallest = max(box[0].stop - box[0].start for box in boxes)
    tall = sorted((box[1].start, box[1].stop) for box in boxes if box[0].stop - box[0].start > 0.6 * tallest)
    count, end = 0, -1
    for left, right in tall:
        if left >= end:
            count += 1
        end = max(end, right)
    return count


def _as_mnist(ink: Array, mask: NDArray[np.bool_], centre: bool) -> Array:
    """Return the digit in its box in 28×28 pixels."""
    solid = float(np.median(ink[mask]))
    # A little beyond the mask, for the soft edges of the strokes.
    near = ndimage.binary_dilation(mask, iterations=2)
    grey = np.where(near, (ink / solid).clip(0, 1), 0).astype(np.float32)
    top, bottom, left, right = _box(mask)
    grey, mask = grey[top:bottom, left:right], mask[top:bottom, left:right]
    scale = BOX / max(grey.shape)
    grey = _thickened(grey, mask, scale)
    scale = BOX / max(grey.shape)
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    small = np.asarray(
        Image.fromarray(grey).resize((width, height), Image.Resampling.BOX if scale < 1 else Image.Resampling.BICUBIC)
    )
    small = (small / max(float(np.quantile(small[small > 0.1], 0.9)), 1e-6)).clip(0, 1)
    rows, columns = np.indices(small.shape)
    if centre:
        places = [float((small * index).sum() / small.sum()) for index in (rows, columns)]
    else:
        places = [(side - 1) / 2 + 0.5 for side in small.shape]
    page = np.zeros((SIDE, SIDE), dtype=np.float32)
    first = [min(max(0, round(MIDDLE - place)), SIDE - side) for place, side in zip(places, small.shape, strict=True)]
    page[first[0] : first[0] + height, first[1] : first[1] + width] = small
    return page


def _thickened(grey: Array, mask: NDArray[np.bool_], scale: float) -> Array:
    """Return the digit with strokes that are at least as thick, once it is in its box, as MNIST's thin ones."""
    missing = THINNEST_STROKE / scale - _stroke(mask)
    radius = round(missing / 2)
    if radius < 1:
        return grey
    reach = np.arange(-radius, radius + 1)
    disk = np.square(reach)[:, None] + np.square(reach) <= radius**2
    thick: Array = ndimage.grey_dilation(np.pad(grey, radius), footprint=disk)
    return thick


def _stroke(mask: NDArray[np.bool_]) -> float:
    """Return the mean thickness of a digit's strokes in pixels: twice its area over its outline's length."""
    padded = np.pad(mask, 1)
    edges = sum(int((padded != np.roll(padded, 1, axis=axis)).sum()) for axis in (0, 1))
    # An outline at all angles crosses 4/π times as many pixel edges as it is long.
    return 2 * float(mask.sum()) / (edges * np.pi / 4)
