"""Checks of the states of random number generators, by loading each into a generator of its own."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

_WORDS = 624  # of the Mersenne Twister


def are_generator_states(state: Mapping[str, Any]) -> bool:
    """Return whether the states of torch's, Python's and numpy's generators can be set.

    Args:
        state: ``torch``, ``python`` and ``numpy``, as `zoo.callbacks.exact_resume.ExactResume` stores them, and
            possibly ``cuda`` or ``mps``. The state of a device that is missing here is not tried.
    """
    try:
        torch.Generator().set_state(state["torch"])
        available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
        for device in available.keys() & state.keys():
            if available[device]:
                torch.Generator(device).set_state(state[device])
        random.Random().setstate(to_tuples(state["python"]))
        *_, next_gauss = state["python"]
        name, words, position, has_gauss, gauss = state["numpy"]
        np.random.RandomState().set_state((name, words, position, has_gauss, gauss))
    except Exception:  # each generator has errors of its own
        return False
    # numpy does not check the position, and would read behind the words.
    is_position = type(position) is int and 0 <= position <= _WORDS and has_gauss in (0, 1)
    return is_position and len(words) == _WORDS and (next_gauss is None or isinstance(next_gauss, float))


def to_tuples(value: Any) -> Any:
    """Convert nested lists to tuples: checkpoints may have lists, and `random.setstate` requires tuples."""
    return tuple(map(to_tuples, value)) if isinstance(value, list | tuple) else value
