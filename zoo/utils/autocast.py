"""Single precision within mixed precision."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager[None]:
    """Keep mixed precision out of a block: what an RBM is trained and judged by are small differences of large sums.

    Args:
        tensor: One on the device in question.
    """
    return torch.autocast(tensor.device.type, enabled=False)
