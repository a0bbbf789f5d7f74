"""Arguments that are numbers, checked by name: each complaint is one sentence that says what was given."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.utils.errors import UsageError

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


def check_layer_sizes(sizes: Sequence[int], least: int = 0, name: str = "hidden_sizes") -> None:
    """Raise `UsageError` unless there are ``least`` layers or more, of 1 to a million units each."""
    if len(sizes) < least or not all(1 <= size <= LARGEST_COUNT for size in sizes):
        layers = "there is at least one layer, and each" if least else "every layer"
        raise UsageError(f"{name} is {list(sizes)}, but {layers} has 1 to {LARGEST_COUNT} units.")


def check_seeds(**seeds: int) -> None:
    """Raise `UsageError` unless each is what numpy takes for a seed."""
    for name, value in seeds.items():
        if not 0 <= value < 2**32:
            raise UsageError(f"{name} is {value}, but a seed is 0 or more and at most {2**32 - 1}.")


def check_data_dir(data_dir: str | None) -> None:
    """Raise `UsageError` unless it can be a folder's name."""
    if data_dir is not None and "\0" in data_dir:
        raise UsageError("data_dir holds a NUL character, which no folder's name can.")


def listed(names: Sequence[str]) -> str:
    """Return the first ten names in a row."""
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
