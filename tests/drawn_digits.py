"""Pictures of digits that have nothing to do with MNIST: set in fonts, and drawn along paths, as a person would.

    python -m tests.drawn_digits FOLDER

writes them as PNG files, named by their label. A hundred pictures, ten of each digit, all from one seed: the strokes,
sizes, positions, colors and backgrounds differ. The set is frozen: it measures, and nothing is fitted to it.
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
"""All of them come with matplotlib."""
FONT_PICTURES = 4
PATH_PICTURES = 6
"""Of each digit."""

Point = tuple[float, float]
Stroke = list[Point]


def arc(x: float, y: float, width: float, height: float, start: float, end: float) -> Stroke:
    """Points of an ellipse around (x, y), from one angle in degrees to another, clockwise from the right."""
    angles = [math.radians(start + (end - start) * step / 24) for step in range(25)]
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


def strokes_of(digit: int, variant: int) -> list[Stroke]:
    """The strokes of a digit in a box of 1×1, y downwards; every other variant is written another way."""
    other = variant % 2 == 1
    match digit:
        case 0:
            return [arc(0.5, 0.5, 0.3 if other else 0.36, 0.46, -100, 265)]
        case 1:
            return [[(0.5, 0.04), (0.5, 0.96)]] if other else [[(0.3, 0.26), (0.54, 0.04), (0.54, 0.96)]]
        case 2:
            top = arc(0.5, 0.3, 0.3, 0.26, -170, 40)
            return [[*top, (0.22, 0.94), (0.84, 0.94)]]
        case 3:
            return [arc(0.46, 0.28, 0.28, 0.24, -150, 85) + arc(0.46, 0.71, 0.33, 0.25, -80, 150)]
        case 4:
            if other:
                return [[(0.62, 0.96), (0.62, 0.04), (0.16, 0.66), (0.86, 0.66)]]
            return [[(0.26, 0.06), (0.2, 0.54), (0.78, 0.54)], [(0.7, 0.1), (0.66, 0.96)]]
        case 5:
            body = arc(0.44, 0.66, 0.34, 0.29, -115, 150)
            if other:
                return [[(0.3, 0.06), (0.28, 0.44), *body], [(0.3, 0.06), (0.78, 0.06)]]
            return [[(0.78, 0.05), (0.3, 0.05), (0.28, 0.42), *body]]
        case 6:
            return [[(0.66, 0.04), (0.42, 0.24), (0.24, 0.56), *arc(0.5, 0.69, 0.27, 0.26, 190, -165)]]
        case 7:
            down = [(0.18, 0.08), (0.8, 0.08), (0.42, 0.96)]
            return [down, [(0.36, 0.5), (0.74, 0.5)]] if other else [down]
        case 8:
            return [arc(0.5, 0.27, 0.24, 0.22, 90, 450), arc(0.5, 0.72, 0.3, 0.24, -90, 270)]
        case _:
            tail = [(0.72, 0.3), (0.7, 0.96)] if other else [(0.73, 0.34), (0.66, 0.7), (0.44, 0.96)]
            return [arc(0.47, 0.3, 0.26, 0.25, -10, -370), tail]


def drawn(digit: int, variant: int, chance: random.Random) -> Image.Image:
    """A digit along its strokes, slanted, turned and shaky, somewhere in a picture, on some ground."""
    side = chance.choice((64, 120, 200, 400, 900))
    width, height = int(side * chance.uniform(0.8, 1.4)), side
    size = min(width, height) * chance.uniform(0.35, 0.85)
    left, top = chance.uniform(0.05, 0.95) * (width - size), chance.uniform(0.05, 0.95) * (height - size)
    turn, slant, shake = math.radians(chance.uniform(-12, 12)), chance.uniform(-0.2, 0.2), chance.uniform(0, 0.012)
    thickness = max(2.0, size * chance.uniform(0.03, 0.13))
    fine = 4
    mask = Image.new("L", (width * fine, height * fine), 0)
    pen = ImageDraw.Draw(mask)
    for stroke in strokes_of(digit, variant):
        points = []
        for x, y in stroke:
            x, y = x - 0.5 - slant * (y - 0.5) + chance.gauss(0, shake), y - 0.5 + chance.gauss(0, shake)
            x, y = x * math.cos(turn) - y * math.sin(turn), x * math.sin(turn) + y * math.cos(turn)
            points.append(((left + size * (0.5 + 0.9 * x)) * fine, (top + size * (0.5 + 0.9 * y)) * fine))
        pen.line(points, fill=255, width=round(thickness * fine), joint="curve")
        for x, y in (points[0], points[-1]):
            radius = thickness * fine / 2
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    return painted(mask.resize((width, height), Image.Resampling.BOX), chance)


def printed(digit: int, variant: int, chance: random.Random) -> Image.Image:
    """A digit in a font, somewhere in a picture, on some ground."""
    family = FONTS[variant % len(FONTS)]
    weight = "bold" if chance.random() < 0.4 and family.startswith("DejaVu") else "normal"
    path = font_manager.findfont(font_manager.FontProperties(family=family, weight=weight), fallback_to_default=False)
    side = chance.choice((64, 120, 200, 400, 900))
    font = ImageFont.truetype(path, int(side * chance.uniform(0.4, 0.9)))
    mask = Image.new("L", (side, side), 0)
    left, top, right, bottom = font.getbbox(str(digit))
    x = chance.uniform(0.05, 0.95) * (side - (right - left)) - left
    y = chance.uniform(0.05, 0.95) * (side - (bottom - top)) - top
    ImageDraw.Draw(mask).text((x, y), str(digit), fill=255, font=font)
    return painted(mask, chance)


def painted(mask: Image.Image, chance: random.Random) -> Image.Image:
    """Ink and ground where the mask says: black on white, white on black, colored, photographed, transparent."""
    ink = np.asarray(mask, dtype=np.float64)[:, :, None] / 255
    height, width = ink.shape[:2]
    noise = np.random.default_rng(chance.randrange(2**32))
    kind = chance.choice(("black on white", "white on black", "colors", "photograph", "transparent"))
    if kind == "transparent":
        color = np.zeros((height, width, 3), np.uint8)
        return Image.fromarray(np.dstack([color, (255 * ink).astype(np.uint8)]), "RGBA")
    dark, light = [chance.uniform(0, 0.25) for _ in range(3)], [chance.uniform(0.7, 1) for _ in range(3)]
    pen, ground = {
        "black on white": ([0.0] * 3, [1.0] * 3),
        "white on black": ([1.0] * 3, [0.0] * 3),
        "colors": (dark, light) if chance.random() < 0.5 else (light, dark),
        "photograph": (dark, [0.75, 0.73, 0.68]),
    }[kind]
    picture = ink * np.array(pen) + (1 - ink) * np.array(ground)
    if kind == "photograph":
        along, down = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
        angle = chance.uniform(0, 2 * math.pi)
        shade = 1 + 0.25 * (along * math.cos(angle) + down * math.sin(angle))
        picture = picture * shade[:, :, None] + noise.normal(0, 0.03, picture.shape)
    return Image.fromarray((255 * picture.clip(0, 1)).astype(np.uint8))


def pictures() -> Iterator[tuple[str, int, Image.Image]]:
    """Yield each picture's name, label and content."""
    for digit in range(10):
        for variant in range(FONT_PICTURES):
            chance = random.Random(f"{SEED} font {digit} {variant}")
            yield f"{digit}-font-{variant}", digit, printed(digit, variant, chance)
        for variant in range(PATH_PICTURES):
            chance = random.Random(f"{SEED} path {digit} {variant}")
            yield f"{digit}-path-{variant}", digit, drawn(digit, variant, chance)


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, _, picture in pictures():
        picture.save(folder / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
