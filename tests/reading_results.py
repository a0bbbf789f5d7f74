"""How many pictures of digits are read right, and how many of the others have a note, as `zoo classify` prints them.

Usage::

    python -m tests.reading_results

It reads the hundred drawn digits, the hundred photographs, two hundred photographs that settings were tuned on, and two
hundred of the same kinds that nothing was tuned on. The committee of all members answers. The counts go to
``docs/data/reading.json``, from which the table in ``docs/measurements.md`` is made.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from PIL import Image

from tests import drawn_digits, photographs, tuning_photographs
from zoo.data.preprocessing import read_digit
from zoo.inference.digit_check import DigitCheck
from zoo.inference.ensemble import Committee
from zoo.utils.denormals import flush_denormals
from zoo.utils.environment import machine, versions
from zoo.utils.errors import UsageError

DATA = Path(__file__).parent.parent / "docs/data"
TUNING_SEED, UNSEEN_SEED = 1, 1000
"""Seeds of the photographs that settings were tuned on, and of those that nothing was tuned on."""


@dataclass
class Count:
    """What became of pictures of one kind.

    Args:
        pictures: Number of pictures.
        right: Number of those that were read right.
        noted: Number of the others that had a note, a score above the limit included, or were refused.
        with_notes: Number of all that had a note.
    """

    pictures: int = 0
    right: int = 0
    noted: int = 0
    with_notes: int = 0


def count(
    pictures: Iterable[tuple[str, int, Image.Image]], committee: Committee, check: DigitCheck
) -> dict[str, Count]:
    """Return the counts by kind, from names such as ``0001-ruled-7``, ``ruled-7`` and ``7-font-0``."""
    counts: dict[str, Count] = {}
    for name, label, picture in pictures:
        kind = next((part for part in name.split("-") if part.isalpha()), name)
        found = counts.setdefault(kind, Count())
        found.pictures += 1
        try:
            digit = read_digit(picture)
        except UsageError:
            found.noted += 1
            continue
        images = digit.pixels[None]
        predictions = committee.predict(images)
        verdict = check(images, predictions.probabilities)
        is_right = int(predictions.mean.argmax()) == label
        has_note = bool(digit.notes) or float(verdict.scores) > verdict.limit
        found.right += is_right
        found.noted += has_note and not is_right
        found.with_notes += has_note
    return counts


def write_results(name: str, results: object) -> None:
    """Write what was measured to a file in ``docs/data``, with the versions and the machine."""
    content = {"versions": versions(), "machine": machine(), "results": results}
    (DATA / name).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    flush_denormals()
    committee, check = Committee(), DigitCheck()
    sets = {
        "drawn digits": drawn_digits.pictures(),
        "photographs": photographs.photographs(),
        "photographs for tuning": tuning_photographs.photographs(200, TUNING_SEED),
        "photographs not for tuning": tuning_photographs.photographs(200, UNSEEN_SEED),
    }
    results = {}
    for name, pictures in sets.items():
        counts = count(pictures, committee, check)
        results[name] = {kind: asdict(each) for kind, each in counts.items()}
        right, total = sum(each.right for each in counts.values()), sum(each.pictures for each in counts.values())
        noted = sum(each.noted for each in counts.values())
        print(f"{name}: {right} of {total} right, {noted} of the others with a note", flush=True)
    write_results("reading.json", results)
    return 0


if __name__ == "__main__":
    sys.exit(main())
