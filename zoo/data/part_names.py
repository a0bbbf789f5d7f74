"""Names of files and folders that say which part of a data set they hold."""

from __future__ import annotations

import re

_PARTS = re.compile(r"(?<![a-z])(?:(train(?:ing)?(?:set)?)|t10k|test(?:ing)?(?:set)?)(?![a-z])", re.IGNORECASE)


def part_of(name: str) -> str | None:
    """Return ``train`` or ``test`` if a name has that word, as in ``mnist_train.csv``, ``t10k`` and ``testing``.

    A name with both has the part that comes last.
    """
    found = None
    for match in _PARTS.finditer(name):
        found = "train" if match[1] else "test"
    return found
