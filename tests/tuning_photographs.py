"""Photographs of digits for tuning: those of `tests.photographs` with other digits, measures and colors.

Usage::

    python -m tests.tuning_photographs FOLDER [PICTURES]

The digits are validation images of MNIST, enlarged, and strokes with stronger distortions than in the frozen set.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from tests.photograph_scene import SCALE, Drawing, Look
from tests.photographs import SETTINGS, photograph, write
from zoo.data import MNISTDataModule


def random_look(rng: random.Random) -> Look:
    """Return measures that vary more than those of the frozen set."""
    width = rng.uniform(55, 110)
    return Look(
        width=width,
        height=width * rng.choice((0.75, 1, 1.33)),
        pixels_per_mm=rng.choice((5, 8, 12)),
        digit=rng.uniform(15, 28),
        offset=7,
        rule_pitch=(6, 12),
        grid_pitch=(4, 7),
        line_width=(0.2, 0.6),
        line_strength=(rng.uniform(0.3, 1), 1),
        box_gap=(0, 3),
        circle_gap=(0.5, 6),
        overhang=(2, 12),
        desk=(3, 18),
        shadow=(0.35, 0.65),
        corners=(0.15, 0.5),
        finger=(12, 25),
        rotation=8,
        perspective=0.12,
        noise=(0, 0.035),
        papers=((1, 1, 1), (0.8, 0.78, 0.7), (0.9, 0.95, 0.97), (0.98, 0.95, 0.7)),
        inks=((0.05, 0.05, 0.05), (0.15, 0.2, 0.65), (0.55, 0.1, 0.12), (0.3, 0.3, 0.32), (0.05, 0.3, 0.15)),
    )


def enlarge(image: np.ndarray, size: int) -> Drawing:
    """Return an image of MNIST, uint8 ``(28, 28)``, as a sharp mask of a digit of a height in pixels."""
    small = Image.fromarray(image)
    small = small.crop(small.getbbox())
    large = small.resize((max(1, round(small.width * size / small.height)), size), Image.Resampling.BICUBIC)
    return large.point(lambda level: min(255, max(0, (level - 96) * 4)))


def photographs(pictures: int = 200, seed: int = 1) -> Iterator[tuple[str, int, Drawing]]:
    """Yield the name, label and image of each photograph: as many as asked for, of all settings and digits in turn."""
    data = MNISTDataModule()
    data.setup("fit")
    for number in range(pictures):
        setting = SETTINGS[number % len(SETTINGS)]
        rng = random.Random(f"{seed} {number}")
        look = random_look(rng)
        size = round(look.digit * look.pixels_per_mm * SCALE)
        if rng.random() < 0.5:
            images, labels, *_ = data.splits["validation"].get_batch([rng.randrange(5000)])
            digit, pen = int(labels[0]), 0.1 * look.digit
            glyph = enlarge((images[0, 0] * 255).byte().numpy(), size)
        else:
            digit, pen = rng.randrange(10), rng.uniform(0.5, 2.2)
            glyph = write(digit, rng.randrange(2), pen / look.digit, size, rng)
        yield f"{number:04d}-{setting}-{digit}", digit, photograph(setting, glyph, pen, rng, look)


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for name, _, picture in photographs(*map(int, sys.argv[2:])):
        picture.save(folder / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())
