"""One picture of the steps from a user's picture to what the networks see."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

HEIGHT = 280
"""Height of each step in pixels."""
CAPTION_HEIGHT = 20
GAP = 10


def draw_steps(steps: Sequence[tuple[str, NDArray[np.uint8]]]) -> Image.Image:
    """Draw the steps side by side, with their names.

    Args:
        steps: Names and grey levels ``(H, W)``, as `zoo.data.preprocessing.read_digit` returns them.
    """
    panels = [_panel(name, levels) for name, levels in steps]
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1)
    strip = Image.new("L", (width, HEIGHT + CAPTION_HEIGHT), 255)
    left = 0
    for panel in panels:
        strip.paste(panel, (left, 0))
        left += panel.width + GAP
    return strip


def _panel(name: str, levels: NDArray[Any]) -> Image.Image:
    image = Image.fromarray(levels)
    width = max(1, round(image.width * HEIGHT / image.height))
    smooth = max(image.size) > 28  # the pixels that the networks see are shown as squares
    image = image.resize((width, HEIGHT), Image.Resampling.BICUBIC if smooth else Image.Resampling.NEAREST)
    caption = ImageDraw.Draw(image).textbbox((0, 0), name)
    panel = Image.new("L", (max(width, int(caption[2]) + 2), HEIGHT + CAPTION_HEIGHT), 255)
    panel.paste(image, (0, 0))
    ImageDraw.Draw(panel).text((1, HEIGHT + 4), name, fill=0)
    return panel
