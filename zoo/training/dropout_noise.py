"""Dropout's noise: torch's own numbers in half the time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

MANTISSA = 53
"""Bits of a double's fraction, which `Tensor.bernoulli_` draws and compares with the probability."""


def bernoulli_noise(like: Tensor, probability: float) -> Tensor:
    """Return 1 with this probability and else 0: what ``torch.empty_like(like).bernoulli_(probability)`` gives.

    On a CPU `Tensor.bernoulli_` draws 64 bits for each number, takes 53 of them as a fraction and compares. Here the
    bits are drawn by one call and compared by another, which goes through the memory in steps of a vector. A test holds
    both to the same numbers, and to leaving the generator in the same state.

    Args:
        like: On a CPU: says the shape and the type.
        probability: In (0, 1).
    """
    bits = torch.empty(like.shape, dtype=torch.int64).random_(-(2**63), None)
    bits.bitwise_and_(2**MANTISSA - 1)
    noise: Tensor = (bits < math.ceil(probability * 2**MANTISSA)).to(like.dtype)
    return noise
