"""Comparison of the training state in a checkpoint with the state of what it is to be loaded into."""

from __future__ import annotations

from typing import Any

from torch import Tensor


class StateMismatch(ValueError):
    """A part of a checkpoint's training state does not fit. The message says which one, as in ``loops is no dict``."""


def compare_states(name: str, expected: Any, found: Any, *, exact: bool = False) -> None:
    """Check that a state has the structure of another one: the same names, the same kinds, the same shapes.

    Where ``expected`` has None, an empty list or an empty dict, all of which may be filled later, ``found`` may have
    any value, list or dict.

    Args:
        name: The name of the state, for the error message.
        expected: The state of the object, before loading.
        found: The state to load.
        exact: Whether there must be no other names, and numbers must be counts: of type int, 0 or more.

    Raises:
        StateMismatch: The structures differ.
    """
    if expected is None:
        return
    if isinstance(expected, Tensor):
        _compare_tensors(name, expected, found)
    elif isinstance(expected, dict):
        _compare_dicts(name, expected, found, exact)
    elif isinstance(expected, list | tuple):
        kind = "list" if isinstance(expected, list) else "tuple"
        _require(isinstance(found, list if kind == "list" else tuple), f"{name} is no {kind}")
        _require(not expected or len(found) == len(expected), f"{name} does not have {len(expected)} items")
        for index, (item, other) in enumerate(zip(expected, found, strict=False)):
            compare_states(f"{name}[{index}]", item, other, exact=exact)
    elif isinstance(expected, bool):
        _require(found is None or isinstance(found, bool), f"{name} is neither true nor false")
    elif isinstance(expected, int | float):
        _require(is_count(found) if exact else is_number(found), f"{name} is no {'count' if exact else 'number'}")
    else:
        _require(isinstance(found, type(expected)), f"{name} is no {type(expected).__name__}")


def is_count(value: Any) -> bool:
    """Return whether a value is an int that can count steps: 0 to 2⁶³ - 1, and no bool."""
    return type(value) is int and 0 <= value < 2**63


def is_number(value: Any) -> bool:
    """Return whether a value is a number, but no bool."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_position(value: Any) -> bool:
    """Return whether a value can be the state of a loader: None, or a dict whose epoch and batches are counts."""
    return value is None or (
        isinstance(value, dict) and all(is_count(value[name]) for name in ("epoch", "batches") if name in value)
    )


def _compare_tensors(name: str, expected: Tensor, found: Any) -> None:
    if expected.dim() == 0 and is_number(found):
        return
    _require(isinstance(found, Tensor), f"{name} is no tensor")
    _require(found.shape == expected.shape, f"{name} has the shape {tuple(found.shape)}, not {tuple(expected.shape)}")
    _require(found.is_floating_point() or not expected.is_floating_point(), f"{name} has another type of numbers")


def _compare_dicts(name: str, expected: dict[Any, Any], found: Any, exact: bool) -> None:
    _require(isinstance(found, dict), f"{name} is no dict")
    if not expected:
        return
    for key, value in expected.items():
        _require(key in found, f"{name} has no {key}")
        compare_states(f"{name}.{key}", value, found[key], exact=exact)
    unknown = found.keys() - expected.keys() if exact else set()
    _require(not unknown, f"{name} has an unknown {min(map(str, unknown), default='')}")


def _require(condition: bool, reason: str) -> None:
    if not condition:
        raise StateMismatch(reason)
