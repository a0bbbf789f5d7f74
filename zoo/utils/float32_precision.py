"""How exactly GPUs compute in single precision.

torch computes products of matrices in full, but lets cuDNN round the inputs of convolutions and recurrent layers to
TF32, which has 10 of float32's 23 bits after the point. The zoo treats both alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

FULL = "highest"
"""The precision without TF32."""


def set_float32_precision(precision: str) -> None:
    """Set the precision of products, convolutions and recurrent layers.

    Args:
        precision: As for `torch.set_float32_matmul_precision`. With ``highest``, cuDNN does not use TF32 either.
    """
    torch.set_float32_matmul_precision(precision)
    torch.backends.cudnn.allow_tf32 = precision != FULL


@contextmanager
def kept_float32_precision() -> Iterator[None]:
    """Restore torch's settings of the precision after a block."""
    cudnn: Any = torch.backends.cudnn
    kinds = (torch.backends.cuda.matmul, cudnn.conv, cudnn.rnn)
    by_kind = [kind.fp32_precision for kind in kinds]
    together: tuple[str, bool] | None
    try:
        together = torch.get_float32_matmul_precision(), cudnn.allow_tf32
    except RuntimeError:  # the user's program has set one kind by its own `fp32_precision`
        together = None
    try:
        yield
    finally:
        if together is not None:
            torch.set_float32_matmul_precision(together[0])
            cudnn.allow_tf32 = together[1]
        else:
            for kind, precision in zip(kinds, by_kind, strict=True):
                kind.fp32_precision = precision
