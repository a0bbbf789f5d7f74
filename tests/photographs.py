"""Photographs of handwritten digits, drawn by a script: ten digits in each of ten settings.

Usage::

    python -m tests.photographs FOLDER

This writes 100 PNG files, named by their setting and their label. In every one of them, a digit 20 mm high is written
on paper and photographed from a slight angle, in light that falls off to one side, with noise. The settings add what
people's photographs have: rules, boxes, desks, shadows, fingers. The set is generated from one seed and is frozen. It
is used for evaluation only; `tests.tuning_photographs` is for tuning.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

from PIL import Image, ImageDraw

from tests.drawn_digits import digit_strokes
from tests.photograph_scene import SCALE, Drawing, Look, Photograph

SEED = 2029
SETTINGS = ("ruled", "squared", "boxed", "circled", "crossed", "desk", "edge", "shadow", "vignette", "finger")


def write(digit: int, variant: int, pen: float, size: float, rng: random.Random) -> Drawing:
    """Return a handwritten digit as a mask, cropped to its bounding box.

    Args:
        digit: The digit.
        variant: The variant of its strokes; see `digit_strokes`.
        pen: Width of the pen, in units of the digit's height.
        size: Height of the digit in pixels.
        rng: Source of the slant, the proportions and the jitter.
    """
    slant, narrow, jitter = rng.uniform(-0.15, 0.2), rng.uniform(0.75, 1), rng.uniform(0, 0.01)
    side = round(2 * size)
    mask = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(mask)
    for stroke in digit_strokes(digit, variant):
        points = []
        for x, y in stroke:
            across = narrow * (x - 0.5) - slant * (y - 0.5) + rng.gauss(0, jitter)
            points.append((size * (1 + across), size * (0.5 + y + rng.gauss(0, jitter))))
        draw.line(points, fill=255, width=round(pen * size), joint="curve")
        for x, y in (points[0], points[-1]):
            radius = pen * size / 2
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return mask.crop(mask.getbbox())


def photograph(setting: str, glyph: Drawing, pen: float, rng: random.Random, look: Look) -> Drawing:
    """Return a photograph of a digit in one of the `SETTINGS`. ``pen`` is the width of the pen in mm."""
    scene = Photograph(look, glyph, rng)
    match setting:
        case "ruled" | "squared":
            pitch = look.rule_pitch if setting == "ruled" else look.grid_pitch
            for vertical in (False, True)[: 1 + (setting == "squared")]:
                scene.rule(pitch, vertical=vertical)
        case "boxed":
            scene.draw_box()
        case "circled":
            scene.draw_circle(pen * scene.unit)
        case "crossed":
            scene.cross_foot(pen * scene.unit)
        case "desk":
            scene.lay_on_desk((0, 1, 2, 3))
        case "edge":
            scene.lay_on_desk((rng.randrange(4),))
    return scene.take(setting)


def photographs() -> Iterator[tuple[str, int, Drawing]]:
    """Yield the name, label and image of each photograph."""
    look = Look()
    for digit in range(10):
        for variant, setting in enumerate(SETTINGS):
            rng = random.Random(f"{SEED} {setting} {digit}")
            pen = rng.uniform(0.6, 1.6)
            glyph = write(digit, variant + digit, pen / look.digit, look.digit * look.pixels_per_mm * SCALE, rng)
            yield f"{setting}-{digit}", digit, photograph(setting, glyph, pen, rng, look)


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, _, picture in photographs():
        picture.save(folder / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
