"""Bootstrap samples: for each ensemble member, a sample of the data set's size drawn with replacement."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def bootstrap_positions(size: int, member: int, seed: int) -> Tensor:
    """Draw a bootstrap sample: ``size`` positions with replacement. The result is a function of the arguments only.

    About 63.2 % (1 − 1/e) of the positions are drawn at least once. Breiman, "Bagging predictors", Machine Learning
    1996.

    Args:
        size: Number of examples, at least 1.
        member: Index of the ensemble member, 0 or more. Each member has its own sample.
        seed: Random seed, 0 or more.

    Returns:
        int64 ``(size,)``, each in 0 … size − 1.
    """
    mixed = int(np.random.SeedSequence([seed, member]).generate_state(1, np.uint64)[0])
    return torch.randint(size, (size,), generator=torch.Generator().manual_seed(mixed & (2**63 - 1)))


def multiplicities(positions: Tensor, size: int) -> Tensor:
    """Return how often each example was drawn, int64 ``(size,)``. Examples with 0 are out-of-bag."""
    return torch.bincount(positions, minlength=size)
