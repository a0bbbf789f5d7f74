"""Full precision within a mixed-precision training."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager[None]:
    """Return a context manager that disables mixed precision.

    An RBM needs this: its gradients and metrics are small differences of large sums.

    Args:
        tensor: Any tensor on the device to disable it for.
    """
    return torch.autocast(tensor.device.type, enabled=False)
