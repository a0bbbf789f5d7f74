"""Conversion of a user's image of a digit to MNIST's format.

Plain pictures, with one digit in even light, take the way of `zoo.data.plain_pictures`; photographs with more in them,
that of `zoo.data.photographs`. Both end in `zoo.data.mnist_format`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from zoo.data.image_files import WORKING_SIZE, downscaled_colors, open_picture
from zoo.data.mnist_format import IMAGE_SIZE, as_in_mnist, bounding_box, to_mnist_format
from zoo.data.photographs.reading import MIN_PHOTOGRAPH_SIZE, PHOTOGRAPH_SIZE, Reading, read_photograph
from zoo.data.plain_pictures import count_digits, digit_mask, ink_of
from zoo.utils.errors import UsageError

LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)
"""Weights of red, green and blue in the luma (ITU-R BT.601)."""

MIN_DIGIT_SIZE = 96
"""A digit that is smaller than this in the downscaled image is cropped from the original and analyzed again."""
STEP_SIZE = 280
"""Maximum size in pixels of the images that show the steps."""

Array = NDArray[np.floating[Any]]
Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Box = tuple[int, int, int, int]
Picture = str | Path | bytes | Image.Image | NDArray[Any] | Tensor


@dataclass(frozen=True)
class Digit:
    """An image in MNIST's format.

    Args:
        pixels: float32 ``(1, 28, 28)`` in [0, 1], a bright digit on black.
        notes: Sentences about everything unusual that the user should know. Empty if there is nothing.
        steps: Names and images of the steps from the picture to the digit, uint8 ``(H, W)`` of at most `STEP_SIZE`.
            Empty unless asked for.
    """

    pixels: Tensor
    notes: tuple[str, ...] = ()
    steps: tuple[tuple[str, Levels], ...] = ()


def preprocess(picture: Picture, centre: bool = True, remove_frames: bool = True) -> Tensor:
    """Convert an image of one digit to MNIST's format, which every member of the zoo takes.

    The digit may be dark on light or light on dark, drawn or photographed, of any size, with or without transparency.
    In a photograph, shadows are levelled, and rules, boxes, circles and what lies around the page are taken away. An
    image that is in MNIST's format already is not changed.

    Args:
        picture: A path, the bytes of a file, a PIL image, or pixels ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``. Integer
            pixels are in 0 to 255, floating-point pixels in [0, 1].
        centre: Whether the digit's center of mass is placed in the middle, as in MNIST. If False, it is the middle of
            the digit's bounding box.
        remove_frames: Whether boxes and circles around the digit and lines under it are taken away. False suits symbols
            that may have them as a part.

    Returns:
        float32 ``(1, 28, 28)`` in [0, 1], a bright digit on black. ``preprocess(picture).unsqueeze(0)`` is a batch.

    Raises:
        UsageError: The image cannot be read, or nothing in it stands out from the background.
    """
    return read_digit(picture, centre, remove_frames=remove_frames).pixels


def resize(picture: Picture) -> Tensor:
    """Convert an image to grey and resize it to 28×28 pixels, without preserving its aspect ratio.

    Use it for images of anything but one drawn or written symbol. The accepted images and the errors raised are those
    of `preprocess`, except that nothing needs to stand out.

    Returns:
        float32 ``(1, 28, 28)`` in [0, 1].
    """
    grey = Image.fromarray(_grey_levels(downscaled_colors(open_picture(picture, []))))
    if grey.size != (IMAGE_SIZE, IMAGE_SIZE):
        grey = grey.resize(
            (IMAGE_SIZE, IMAGE_SIZE),
            Image.Resampling.BOX if max(grey.size) > IMAGE_SIZE else Image.Resampling.BICUBIC,
        )
    return torch.from_numpy(np.array(grey, dtype=np.float32) / 255).unsqueeze(0)


def read_digit(picture: Picture, centre: bool = True, with_steps: bool = False, remove_frames: bool = True) -> Digit:
    """Convert an image as `preprocess` does, and also return notes on everything unusual.

    Args:
        picture: As for `preprocess`.
        centre: As for `preprocess`.
        with_steps: Whether to return images of the steps too.
        remove_frames: As for `preprocess`.
    """
    notes: list[str] = []
    image = open_picture(picture, notes)
    colors = downscaled_colors(image)
    steps = [("the picture", _grey_levels(colors))]
    unchanged = as_in_mnist(steps[0][1]) if centre else None
    if unchanged is not None:
        pixels = unchanged.astype(np.float32) / 255
    else:
        photograph = _read_photograph(image, remove_frames)
        if photograph is None:
            ink, found = _read_plain(image, colors)
        else:
            ink, found = photograph.ink, photograph.mask
            notes += photograph.notes
            steps.append(("the ink in even light", _as_levels(photograph.all_ink_levels)))
        if (digits := count_digits(found)) > 1:
            notes.append(f"It looks like {digits} digits side by side, and only pictures of one are read right.")
        steps.append(("what was taken for the digit", _as_levels(np.where(found, ink, 0))))
        pixels = to_mnist_format(ink, found, centre).astype(np.float32)
    steps.append(("what the networks see", _as_levels(pixels)))
    shown = tuple((name, _small(levels)) for name, levels in steps) if with_steps else ()
    return Digit(torch.from_numpy(pixels).unsqueeze(0), tuple(notes), shown)


def _read_plain(image: Image.Image, colors: Array) -> tuple[Array, Mask]:
    """Return the ink and the mask of the digit in a plain picture, ``(H, W)`` each."""
    ink = ink_of(colors)
    found = digit_mask(ink)
    if found is None:
        raise UsageError("There is nothing in this picture that stands out: it needs a digit on a plain background.")
    box = bounding_box(found)
    if _size(box) < MIN_DIGIT_SIZE and max(image.size) > WORKING_SIZE:
        closer = ink_of(downscaled_colors(_crop(image, ink.shape, box, 0.5)))
        again = digit_mask(closer)
        if again is not None:
            return closer, again
    return ink, found


def _read_photograph(image: Image.Image, remove_frames: bool) -> Reading | None:
    """Return the digit in a photograph, or None if the picture is plain."""
    if min(image.size) < MIN_PHOTOGRAPH_SIZE:
        return None
    grey = _grey_levels(downscaled_colors(image, PHOTOGRAPH_SIZE))
    reading = read_photograph(grey, remove_frames)
    if reading is None:
        return None
    box = bounding_box(reading.mask)
    if _size(box) < MIN_DIGIT_SIZE and max(image.size) > PHOTOGRAPH_SIZE:
        closer = _crop(image, grey.shape, box, 1.0)
        again = read_photograph(_grey_levels(downscaled_colors(closer, PHOTOGRAPH_SIZE)), remove_frames)
        if again is not None:
            again.notes = list(dict.fromkeys([*reading.notes, *again.notes]))
            return again
    return reading


def _size(box: Box) -> int:
    top, bottom, left, right = box
    return max(bottom - top, right - left)


def _crop(image: Image.Image, shape: tuple[int, ...], box: Box, margin: float) -> Image.Image:
    """Crop an image to a box that is given in the coordinates of its downscaled version.

    Args:
        image: The image.
        shape: Height and width of the downscaled version.
        box: Top, bottom, left and right.
        margin: Width of the margin, in units of the box's longer side.
    """
    top, bottom, left, right = box
    margin *= _size(box)
    width, height = image.size
    # One scale for each direction: a narrow strip is downscaled to a width of a few whole pixels.
    across, down = width / shape[1], height / shape[0]
    return image.crop(
        (
            max(0, int((left - margin) * across)),
            max(0, int((top - margin) * down)),
            min(width, int((right + margin) * across)),
            min(height, int((bottom + margin) * down)),
        )
    )


def _grey_levels(colors: Array) -> Levels:
    """Return the luma of colors ``(H, W, 3)`` in [0, 1] as grey levels ``(H, W)``."""
    levels: Levels = (colors @ LUMA * 255).round().astype(np.uint8)
    return levels


def _as_levels(values: Array) -> Levels:
    levels: Levels = (values.clip(0, 1) * 255).round().astype(np.uint8)
    return levels


def _small(levels: Levels) -> Levels:
    image = Image.fromarray(levels)
    image.thumbnail((STEP_SIZE, STEP_SIZE), Image.Resampling.BOX)
    return np.asarray(image)
