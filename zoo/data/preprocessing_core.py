"""Conversion of pictures to MNIST's format without torch.

`zoo export` writes this module and those that it imports as one file, ``preprocess.py``, for programs without the zoo.

It needs NumPy and Pillow. With these alone it reads plain pictures: one digit, drawn, scanned or photographed in even
light, dark on light or light on dark, with nothing else around it. With OpenCV (``pip install opencv-python-headless``)
it also reads photographs: shadows are levelled, and rules, boxes, circles, underlines and what lies around the page are
taken away. The result equals that of ``zoo.preprocess``.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from zoo.data.mnist_format import IMAGE_SIZE, as_in_mnist, to_mnist_format
from zoo.data.photographs.reading import find_photographed_digit
from zoo.data.picture_colors import downscaled_colors, grey_levels, with_8_bits
from zoo.data.plain_pictures import find_digit


def preprocess(picture: str | Path | Image.Image, center: bool = True) -> NDArray[np.float32]:
    """Convert a picture of one digit to MNIST's format.

    Args:
        picture: The path of a file that Pillow reads, or a PIL image.
        center: Whether the digit's center of mass is placed in the middle, as in MNIST. If False, it is the middle of
            the digit's bounding box.

    Returns:
        float32 ``(1, 28, 28)`` in [0, 1], a bright digit on black. ``preprocess(picture)[None]`` is a batch.

    Raises:
        OSError: The file cannot be read, or is no picture.
        ValueError: Nothing in the picture stands out from the background.
    """
    image = _opened(picture)
    colors = downscaled_colors(image)
    unchanged = as_in_mnist(grey_levels(colors)) if center else None
    if unchanged is not None:
        return unchanged[None].astype(np.float32) / np.float32(255)
    photograph = find_photographed_digit(image) if find_spec("cv2") else None
    found = find_digit(image, colors) if photograph is None else (photograph.ink, photograph.mask)
    if found is None:
        raise ValueError("There is nothing in this picture that stands out: it needs a digit on a plain background.")
    return to_mnist_format(*found, center)[None].astype(np.float32)


def resize(picture: str | Path | Image.Image) -> NDArray[np.float32]:
    """Convert a picture to grey and resize it to 28×28 pixels, without preserving its aspect ratio.

    It is for networks that were trained on such images (``--data.preprocess false``).

    Args:
        picture: As for `preprocess`.

    Returns:
        float32 ``(1, 28, 28)`` in [0, 1].

    Raises:
        OSError: The file cannot be read, or is no picture.
    """
    return resized(_opened(picture))[None]


def resized(image: Image.Image) -> NDArray[np.float32]:
    """Return an image with 8 bits a channel in grey, as float32 ``(28, 28)`` in [0, 1]."""
    grey = Image.fromarray(grey_levels(downscaled_colors(image)))
    if grey.size != (IMAGE_SIZE, IMAGE_SIZE):
        method = Image.Resampling.BOX if max(grey.size) > IMAGE_SIZE else Image.Resampling.BICUBIC
        grey = grey.resize((IMAGE_SIZE, IMAGE_SIZE), method)
    return np.array(grey, dtype=np.float32) / np.float32(255)


def _opened(picture: Any) -> Image.Image:
    """Return a picture with 8 bits a channel and its EXIF orientation applied."""
    if isinstance(picture, Image.Image):
        return with_8_bits(ImageOps.exif_transpose(picture))
    with Image.open(picture) as image:
        return with_8_bits(ImageOps.exif_transpose(image))
