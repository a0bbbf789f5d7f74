"""Arguments that are numbers, checked by name: each complaint is one sentence that says what was given."""

from __future__ import annotations

import math

from zoo.errors import UsageError

LARGEST_COUNT = 1_000_000


def check_counts(least: int = 0, **counts: int) -> None:
    """Raise `UsageError` unless each is ``least`` to a million."""
    for name, count in counts.items():
        if not least <= count <= LARGEST_COUNT:
            raise UsageError(f"{name} is {count}, but it must be {least} to {LARGEST_COUNT}.")


def check_positive(**numbers: float) -> None:
    """Raise `UsageError` unless each is a number that is more than 0."""
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise UsageError(f"{name} is {value}, but it must be a number that is more than 0.")


def check_not_negative(**numbers: float) -> None:
    """Raise `UsageError` unless each is a number that is 0 or more."""
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise UsageError(f"{name} is {value}, but it must be a number that is 0 or more.")


def check_fractions(**numbers: float) -> None:
    """Raise `UsageError` unless each is 0 or more and less than 1."""
    for name, value in numbers.items():
        if not 0 <= value < 1:
            raise UsageError(f"{name} is {value}, but it must be 0 or more and less than 1.")
