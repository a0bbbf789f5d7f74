"""Checks of numeric arguments. Each takes the arguments by name, and its error message gives the name and value."""

from __future__ import annotations

import math
from collections.abc import Sequence

from zoo.utils.errors import UsageError

MAX_COUNT = 1_000_000


def check_counts(least: int = 0, **counts: int) -> None:
    """Raise `UsageError` unless each count is between ``least`` and a million, both included."""
    for name, count in counts.items():
        if not least <= count <= MAX_COUNT:
            raise UsageError(f"{name} is {count}, but it must be {least} to {MAX_COUNT}.")


def check_positive(**numbers: float) -> None:
    """Raise `UsageError` unless each number is finite and greater than 0."""
    for name, value in numbers.items():
        if not 0 < value < math.inf:
            raise UsageError(f"{name} is {value}, but it must be a number that is more than 0.")


def check_not_negative(**numbers: float) -> None:
    """Raise `UsageError` unless each number is finite and at least 0."""
    for name, value in numbers.items():
        if not 0 <= value < math.inf:
            raise UsageError(f"{name} is {value}, but it must be a number that is 0 or more.")


def check_fractions(**numbers: float) -> None:
    """Raise `UsageError` unless each number is in [0, 1)."""
    for name, value in numbers.items():
        if not 0 <= value < 1:
            raise UsageError(f"{name} is {value}, but it must be 0 or more and less than 1.")


def fractions_by_layer(value: float | Sequence[float], layers: int, name: str) -> list[float]:
    """Return one number in [0, 1) for each layer, from one for all of them or a sequence of that many.

    Raises:
        UsageError: A number is out of range, or there is another count of them.
    """
    if isinstance(value, int | float):
        check_fractions(**{name: value})
        return [value] * layers
    for fraction in value:
        check_fractions(**{name: fraction})
    if len(value) != layers:
        raise UsageError(f"{name} has {len(value)} numbers, but there are {layers} hidden layers: give one for each.")
    return list(value)


def check_layer_sizes(sizes: Sequence[int], least: int = 0, name: str = "hidden_sizes") -> None:
    """Raise `UsageError` unless there are at least ``least`` layers of 1 to a million units each."""
    if len(sizes) < least or not all(1 <= size <= MAX_COUNT for size in sizes):
        number = "is at least one layer" if least == 1 else f"are at least {least} layers"
        layers = f"there {number}, and each" if least else "every layer"
        raise UsageError(f"{name} is {list(sizes)}, but {layers} has 1 to {MAX_COUNT} units.")


def check_seeds(**seeds: int) -> None:
    """Raise `UsageError` unless each is a valid seed for numpy: 0 to 2³² - 1."""
    for name, value in seeds.items():
        if not 0 <= value < 2**32:
            raise UsageError(f"{name} is {value}, but a seed is 0 or more and at most {2**32 - 1}.")


def join_names(names: Sequence[str]) -> str:
    """Join the first ten names with commas and state how many more there are."""
    shown = ", ".join(names[:10])
    return shown if len(names) <= 10 else f"{shown} and {len(names) - 10} more"
