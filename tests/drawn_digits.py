"""Pictures of digits that are not from MNIST: printed in fonts, and drawn along paths as if by hand.

Usage::

    python -m tests.drawn_digits FOLDER

This writes 100 PNG files, ten of each digit, named by their label. They vary in strokes, size, position, color and
background, and are generated from one seed. The set is frozen. It is used for evaluation only, never for tuning.
"""

from __future__ import annotations

import math
import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

SEED = 2026
FONTS = ("DejaVu Sans", "DejaVu Serif", "DejaVu Sans Mono", "cmr10")
"""Fonts that matplotlib ships."""
FONT_PICTURES = 4
"""Number of pictures of each digit."""
PATH_PICTURES = 6
"""Number of pictures of each digit."""

Point = tuple[float, float]
Stroke = list[Point]


def arc(x: float, y: float, width: float, height: float, start: float, end: float) -> Stroke:
    """Return the points of an elliptical arc.

    Args:
        x: Horizontal position of the center.
        y: Vertical position of the center, downwards.
        width: Horizontal radius.
        height: Vertical radius.
        start: First angle in degrees, clockwise from the right.
        end: Last angle in degrees.
    """
    angles = [math.radians(start + (end - start) * step / 24) for step in range(25)]
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


def digit_strokes(digit: int, variant: int) -> list[Stroke]:
    """Return the strokes of a digit in the unit square, y downwards. Odd variants of some digits have another shape."""
    alternative = variant % 2 == 1
    match digit:
        case 0:
            return [arc(0.5, 0.5, 0.3 if alternative else 0.36, 0.46, -100, 265)]
        case 1:
            return [[(0.5, 0.04), (0.5, 0.96)]] if alternative else [[(0.3, 0.26), (0.54, 0.04), (0.54, 0.96)]]
        case 2:
            top = arc(0.5, 0.3, 0.3, 0.26, -170, 40)
            return [[*top, (0.22, 0.94), (0.84, 0.94)]]
        case 3:
            return [arc(0.46, 0.28, 0.28, 0.24, -150, 85) + arc(0.46, 0.71, 0.33, 0.25, -80, 150)]
        case 4:
            if alternative:
                return [[(0.62, 0.96), (0.62, 0.04), (0.16, 0.66), (0.86, 0.66)]]
            return [[(0.26, 0.06), (0.2, 0.54), (0.78, 0.54)], [(0.7, 0.1), (0.66, 0.96)]]
        case 5:
            body = arc(0.44, 0.66, 0.34, 0.29, -115, 150)
            if alternative:
                return [[(0.3, 0.06), (0.28, 0.44), *body], [(0.3, 0.06), (0.78, 0.06)]]
            return [[(0.78, 0.05), (0.3, 0.05), (0.28, 0.42), *body]]
        case 6:
            return [[(0.66, 0.04), (0.42, 0.24), (0.24, 0.56), *arc(0.5, 0.69, 0.27, 0.26, 190, -165)]]
        case 7:
            down = [(0.18, 0.08), (0.8, 0.08), (0.42, 0.96)]
            return [down, [(0.36, 0.5), (0.74, 0.5)]] if alternative else [down]
        case 8:
            return [arc(0.5, 0.27, 0.24, 0.22, 90, 450), arc(0.5, 0.72, 0.3, 0.24, -90, 270)]
        case _:
            tail = [(0.72, 0.3), (0.7, 0.96)] if alternative else [(0.73, 0.34), (0.66, 0.7), (0.44, 0.96)]
            return [arc(0.47, 0.3, 0.26, 0.25, -10, -370), tail]


def draw_by_hand(digit: int, variant: int, rng: random.Random) -> Image.Image:
    """Draw a digit along its strokes with random slant, rotation, jitter, thickness, position and background."""
    side = rng.choice((64, 120, 200, 400, 900))
    width, height = int(side * rng.uniform(0.8, 1.4)), side
    size = min(width, height) * rng.uniform(0.35, 0.85)
    left, top = rng.uniform(0.05, 0.95) * (width - size), rng.uniform(0.05, 0.95) * (height - size)
    rotation, slant, jitter = math.radians(rng.uniform(-12, 12)), rng.uniform(-0.2, 0.2), rng.uniform(0, 0.012)
    thickness = max(2.0, size * rng.uniform(0.03, 0.13))
    scale = 4  # drawn at four times the size and averaged, for smooth edges
    mask = Image.new("L", (width * scale, height * scale), 0)
    pen = ImageDraw.Draw(mask)
    for stroke in digit_strokes(digit, variant):
        points = []
        for x, y in stroke:
            x, y = x - 0.5 - slant * (y - 0.5) + rng.gauss(0, jitter), y - 0.5 + rng.gauss(0, jitter)
            x, y = x * math.cos(rotation) - y * math.sin(rotation), x * math.sin(rotation) + y * math.cos(rotation)
            points.append(((left + size * (0.5 + 0.9 * x)) * scale, (top + size * (0.5 + 0.9 * y)) * scale))
        pen.line(points, fill=255, width=round(thickness * scale), joint="curve")
        for x, y in (points[0], points[-1]):
            radius = thickness * scale / 2
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return colorize(mask.resize((width, height), Image.Resampling.BOX), rng)


def draw_in_font(digit: int, variant: int, rng: random.Random) -> Image.Image:
    """Draw a digit in a font with random size, weight, position and background."""
    family = FONTS[variant % len(FONTS)]
    weight = "bold" if rng.random() < 0.4 and family.startswith("DejaVu") else "normal"
    path = font_manager.findfont(font_manager.FontProperties(family=family, weight=weight), fallback_to_default=False)
    side = rng.choice((64, 120, 200, 400, 900))
    font = ImageFont.truetype(path, int(side * rng.uniform(0.4, 0.9)))
    mask = Image.new("L", (side, side), 0)
    left, top, right, bottom = font.getbbox(str(digit))
    x = rng.uniform(0.05, 0.95) * (side - (right - left)) - left
    y = rng.uniform(0.05, 0.95) * (side - (bottom - top)) - top
    ImageDraw.Draw(mask).text((x, y), str(digit), fill=255, font=font)
    return colorize(mask, rng)


def colorize(mask: Image.Image, rng: random.Random) -> Image.Image:
    """Color a mask in a random style: black on white, white on black, colored, like a photograph, or transparent."""
    ink = np.asarray(mask, dtype=np.float64)[:, :, None] / 255
    height, width = ink.shape[:2]
    noise = np.random.default_rng(rng.randrange(2**32))
    style = rng.choice(("black on white", "white on black", "colors", "photograph", "transparent"))
    if style == "transparent":
        color = np.zeros((height, width, 3), np.uint8)
        return Image.fromarray(np.dstack([color, (255 * ink).astype(np.uint8)]), "RGBA")
    dark, light = [rng.uniform(0, 0.25) for _ in range(3)], [rng.uniform(0.7, 1) for _ in range(3)]
    foreground, background = {
        "black on white": ([0.0] * 3, [1.0] * 3),
        "white on black": ([1.0] * 3, [0.0] * 3),
        "colors": (dark, light) if rng.random() < 0.5 else (light, dark),
        "photograph": (dark, [0.75, 0.73, 0.68]),
    }[style]
    picture = ink * np.array(foreground) + (1 - ink) * np.array(background)
    if style == "photograph":
        horizontal, vertical = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        angle = rng.uniform(0, 2 * math.pi)
        brightness = 1 + 0.25 * (horizontal * math.cos(angle) + vertical * math.sin(angle))
        picture = picture * brightness[:, :, None] + noise.normal(0, 0.03, picture.shape)
    return Image.fromarray((255 * picture.clip(0, 1)).astype(np.uint8))


def pictures() -> Iterator[tuple[str, int, Image.Image]]:
    """Yield the name, label and image of each picture."""
    for digit in range(10):
        for variant in range(FONT_PICTURES):
            rng = random.Random(f"{SEED} font {digit} {variant}")
            yield f"{digit}-font-{variant}", digit, draw_in_font(digit, variant, rng)
        for variant in range(PATH_PICTURES):
            rng = random.Random(f"{SEED} path {digit} {variant}")
            yield f"{digit}-path-{variant}", digit, draw_by_hand(digit, variant, rng)


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, _, picture in pictures():
        picture.save(folder / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
