"""What the score "probably no digit" catches, and its limit.

Usage::

    python -m tests.no_digit [--write] [--fashion FOLDER]

It prints the share of the official test images of MNIST that is taken for no digit, and of pictures that show none:
letters, hearts, noise and, given a folder with Fashion-MNIST's idx files, clothes. The counts go to
``docs/data/no_digit.json``, from which the table in ``docs/measurements.md`` is made. With ``--write``, the settings in
``zoo/inference/digit_check.json`` are first measured anew on the validation images. Nothing is chosen by the
pictures without digits. The share of false alarms was lowered once after the test images had been seen
(`zoo.inference.digit_check.FALSE_ALARMS`).
"""

from __future__ import annotations

import argparse
import math
import random
import string
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFilter, ImageFont
from torch import Tensor

from tests.drawn_digits import FONTS, pictures
from tests.reading_results import write_results
from zoo.data import MNISTDataModule
from zoo.data.idx import read_idx
from zoo.data.preprocessing import read_digit
from zoo.inference.digit_check import DigitCheck, fit_settings, write_settings
from zoo.inference.ensemble import Committee
from zoo.utils.errors import UsageError

LIKE_DIGITS = "OoQDIlijSsZzqgbBT"
"""Letters that are left out, because a digit looks much like them in some handwriting."""
CLOTHES = 1000
"""Number of pictures of Fashion-MNIST."""


@dataclass(frozen=True)
class Catch:
    """How many pictures were taken for no digit.

    Args:
        pictures: Number of pictures.
        refused: Number of those in which nothing stands out, so that no answer is given.
        doubted: Number of the others whose score is above the limit.
    """

    pictures: int
    refused: int
    doubted: int

    @property
    def share(self) -> float:
        """Share of the pictures that got no answer or a doubted one."""
        return (self.refused + self.doubted) / self.pictures


def letters() -> Iterator[Image.Image]:
    """Yield the letters of the alphabet, dark on light, in each of four fonts."""
    for family in FONTS:
        path = font_manager.findfont(family, fallback_to_default=False)
        font = ImageFont.truetype(path, 140)
        for letter in string.ascii_letters:
            if letter in LIKE_DIGITS:
                continue
            page = Image.new("L", (240, 240), 255)
            ImageDraw.Draw(page).text((120, 120), letter, fill=20, font=font, anchor="mm")
            yield page


def hearts(number: int = 100) -> Iterator[Image.Image]:
    """Yield hearts drawn as outlines or filled, of different widths, sizes and tilts."""
    for variant in range(number):
        rng = random.Random(f"heart {variant}")
        size, tilt, wide = rng.uniform(4, 7), rng.uniform(-0.4, 0.4), rng.uniform(0.8, 1.2)
        points = []
        for step in range(101):
            angle = 2 * math.pi * step / 100
            x = wide * 16 * math.sin(angle) ** 3
            y = -(13 * math.cos(angle) - 5 * math.cos(2 * angle) - 2 * math.cos(3 * angle) - math.cos(4 * angle))
            x, y = x * math.cos(tilt) - y * math.sin(tilt), x * math.sin(tilt) + y * math.cos(tilt)
            points.append((150 + size * x, 150 + size * y))
        page = Image.new("L", (300, 300), 255)
        if variant % 3 == 2:
            ImageDraw.Draw(page).polygon(points, fill=30)
        else:
            ImageDraw.Draw(page).line(points, fill=30, width=rng.randrange(6, 24), joint="curve")
        yield page


def noise(number: int = 100) -> Iterator[Image.Image]:
    """Yield pages with nothing but noise, fine or coarse."""
    for variant in range(number):
        rng = np.random.default_rng(variant)
        level, strength = rng.uniform(80, 220), rng.uniform(2, 60)
        page = Image.fromarray(rng.normal(level, strength, (200, 160)).clip(0, 255).astype(np.uint8))
        yield page.filter(ImageFilter.GaussianBlur(float(rng.choice((0, 1, 3)))))


def clothes(folder: Path) -> Iterator[Image.Image]:
    """Yield the first test images of Fashion-MNIST from its idx files, packed or not."""
    path = next(path for path in sorted(folder.rglob("t10k-images*")) if path.is_file())
    for image in read_idx(path)[:CLOTHES]:
        yield Image.fromarray(np.asarray(image, np.uint8))


def catch(images: Iterable[Image.Image], committee: Committee, check: DigitCheck) -> Catch:
    """Count how many pictures are refused or doubted."""
    read: list[Tensor] = []
    refused = 0
    for image in images:
        try:
            read.append(read_digit(image).pixels)
        except UsageError:
            refused += 1
    if not read:
        return Catch(refused, refused, 0)
    batch = torch.stack(read)
    verdict = check(batch, committee.predict(batch).probabilities)
    return Catch(len(read) + refused, refused, int((verdict.scores > verdict.limit).sum()))


def images_of(split: str) -> Tensor:
    """Return the official test images or the validation images, ``(B, 1, 28, 28)`` in [0, 1]."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("fit" if split == "validation" else "test")
    dataset = data.splits[split]
    return dataset.get_batch(range(len(dataset)))[0]


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="measure the settings anew")
    parser.add_argument("--fashion", type=Path, help="a folder with Fashion-MNIST's idx files")
    options = parser.parse_args(arguments)
    committee = Committee()
    if options.write:
        validation = images_of("validation")
        probabilities = committee.predict(validation).probabilities
        write_settings(fit_settings(list(committee.members), validation, probabilities))
    check = DigitCheck()
    test = images_of("test")
    verdict = check(test, committee.predict(test).probabilities)
    results = {"test images": Catch(len(test), 0, int((verdict.scores > verdict.limit).sum()))}
    kinds = {
        "drawn digits": (picture for _, _, picture in pictures()),
        "letters": letters(),
        "hearts": hearts(),
        "noise": noise(),
    }
    if options.fashion:
        kinds["Fashion-MNIST"] = clothes(options.fashion)
    for kind, images in kinds.items():
        results[kind] = catch(images, committee, check)
    for kind, caught in results.items():
        print(f"{kind}: {caught.share:.2%} of {caught.pictures:,}, of which refused {caught.refused}")
    write_results("no_digit.json", {kind: asdict(caught) for kind, caught in results.items()})
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
