"""Pictures that have MNIST's size already and are taken as they are."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from zoo.data.examples import SIDE
from zoo.data.image_files import open_picture
from zoo.data.preprocessing import resize


def read_pixels(picture: Path | bytes) -> Tensor:
    """Return a picture of 28×28 pixels in grey, float32 ``(1, 28, 28)`` in [0, 1].

    Raises:
        UsageError: It cannot be read.
        ValueError: It has another size, so that the data as a whole is other data. The message is a clause.
    """
    image = open_picture(picture, [])
    if image.size != (SIDE, SIDE):
        name = f"{picture} has" if isinstance(picture, Path) else "a picture has"
        raise ValueError(
            f"{name} {image.width} × {image.height} pixels and not 28 × 28, into which `--data ImageFolderDataModule` "
            "brings pictures of any size"
        )
    return resize(image)


def to_levels(pixels: Tensor) -> Tensor:
    """Return pixels ``(1, 28, 28)`` in [0, 1] as uint8 ``(28, 28)``."""
    return (pixels[0] * 255).round().to(torch.uint8)
