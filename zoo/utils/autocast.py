"""Contexts within mixed precision."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def full_precision(tensor: Tensor) -> AbstractContextManager[None]:
    """Turn mixed precision off in a block: what an RBM is trained and judged by are small differences of large sums.

    Args:
        tensor: One on the device in question.
    """
    return torch.autocast(tensor.device.type, enabled=False)


def autocast_without_cache(device_type: str) -> AbstractContextManager[None]:
    """Keep mixed precision as it is in a block, but cast weights anew at every use.

    torch keeps the casts of an `torch.autocast` context until its end. Several steps within one context would use the
    first step's weights, and a CUDA graph would read them from memory that is gone.

    Args:
        device_type: ``"cpu"`` or ``"cuda"``, for example.
    """
    if not torch.is_autocast_enabled(device_type):
        return nullcontext()
    return torch.autocast(device_type, dtype=torch.get_autocast_dtype(device_type), cache_enabled=False)
