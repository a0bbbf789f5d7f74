"""Bootstraps: data sets of the same size, drawn with replacement, one for each member of an ensemble."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def bootstrap_positions(size: int, member: int, seed: int) -> Tensor:
    """Draw ``size`` positions out of as many, with replacement: a function of its arguments alone.

    About 63.2 % (1 − 1/e) of the positions are drawn at least once. Breiman, "Bagging predictors", Machine Learning
    1996.

    Args:
        size: How many examples there are, at least 1.
        member: The ensemble's member, 0 or more; each draws its own.
        seed: 0 or more.

    Returns:
        int64 ``(size,)``, each in 0 … size − 1.
    """
    mixed = int(np.random.SeedSequence([seed, member]).generate_state(1, np.uint64)[0])
    return torch.randint(size, (size,), generator=torch.Generator().manual_seed(mixed & (2**63 - 1)))


def multiplicities(positions: Tensor, size: int) -> Tensor:
    """Return how often each example was drawn, int64 ``(size,)``; those with 0 are out of the bag."""
    return torch.bincount(positions, minlength=size)
