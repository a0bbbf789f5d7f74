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

from zoo.data.digit_count import count_digits
from zoo.data.image_files import open_picture
from zoo.data.mnist_format import as_in_mnist, to_mnist_format
from zoo.data.photographs.reading import find_photographed_digit
from zoo.data.picture_colors import downscaled_colors, grey_levels
from zoo.data.plain_pictures import find_digit
from zoo.data.preprocessing_core import resized
from zoo.utils.errors import UsageError

STEP_SIZE = 280
"""Maximum size in pixels of the images that show the steps."""

Array = NDArray[np.floating[Any]]
Levels = NDArray[np.uint8]
Mask = NDArray[np.bool_]
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


def preprocess(picture: Picture, center: bool = True, remove_frames: bool = True) -> Tensor:
    """Convert an image of one digit to MNIST's format, which every member of the zoo takes.

    The digit may be dark on light or light on dark, drawn or photographed, of any size, with or without transparency.
    In a photograph, shadows are levelled, and rules, boxes, circles and what lies around the page are taken away. An
    image that is in MNIST's format already is not changed.

    Args:
        picture: A path, the bytes of a file, a PIL image, or pixels ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``. Integer
            pixels are in 0 to 255, floating-point pixels in [0, 1].
        center: Whether the digit's center of mass is placed in the middle, as in MNIST. If False, it is the middle of
            the digit's bounding box.
        remove_frames: Whether boxes and circles around the digit and lines under it are taken away. False suits symbols
            that may have them as a part.

    Returns:
        float32 ``(1, 28, 28)`` in [0, 1], a bright digit on black. ``preprocess(picture).unsqueeze(0)`` is a batch.

    Raises:
        UsageError: The image cannot be read, or nothing in it stands out from the background.
    """
    return read_digit(picture, center, remove_frames=remove_frames).pixels


def resize(picture: Picture) -> Tensor:
    """Convert an image to grey and resize it to 28×28 pixels, without preserving its aspect ratio.

    Use it for images of anything but one drawn or written symbol. The accepted images and the errors raised are those
    of `preprocess`, except that nothing needs to stand out.

    Returns:
        float32 ``(1, 28, 28)`` in [0, 1].
    """
    return torch.from_numpy(resized(open_picture(picture, []))).unsqueeze(0)


def read_digit(picture: Picture, center: bool = True, with_steps: bool = False, remove_frames: bool = True) -> Digit:
    """Convert an image as `preprocess` does, and also return notes on everything unusual.

    Args:
        picture: As for `preprocess`.
        center: As for `preprocess`.
        with_steps: Whether to return images of the steps too.
        remove_frames: As for `preprocess`.
    """
    notes: list[str] = []
    image = open_picture(picture, notes)
    colors = downscaled_colors(image)
    steps = [("the picture", grey_levels(colors))]
    unchanged = as_in_mnist(steps[0][1]) if center else None
    if unchanged is not None:
        pixels = unchanged.astype(np.float32) / 255
    else:
        photograph = find_photographed_digit(image, remove_frames)
        if photograph is None:
            plain = find_digit(image, colors)
            if plain is None:
                raise UsageError(
                    "There is nothing in this picture that stands out: it needs a digit on a plain background."
                )
            ink, found = plain
        else:
            ink, found = photograph.ink, photograph.mask
            notes += photograph.notes
            steps.append(("the ink in even light", _as_levels(photograph.all_ink_levels)))
        if (digits := count_digits(found)) > 1:
            notes.append(f"It looks like {digits} digits side by side, and only pictures of one are read right.")
        steps.append(("what was taken for the digit", _as_levels(np.where(found, ink, 0))))
        pixels = to_mnist_format(ink, found, center).astype(np.float32)
    steps.append(("what the networks see", _as_levels(pixels)))
    shown = tuple((name, _small(levels)) for name, levels in steps) if with_steps else ()
    return Digit(torch.from_numpy(pixels).unsqueeze(0), tuple(notes), shown)


def _as_levels(values: Array) -> Levels:
    levels: Levels = (values.clip(0, 1) * 255).round().astype(np.uint8)
    return levels


def _small(levels: Levels) -> Levels:
    image = Image.fromarray(levels)
    image.thumbnail((STEP_SIZE, STEP_SIZE), Image.Resampling.BOX)
    return np.asarray(image)
