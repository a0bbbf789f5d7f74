"""How exactly GPUs compute in single precision.

By default, torch computes products of matrices in full, but lets cuDNN round the inputs of convolutions and recurrent
layers to TF32, which has 10 of float32's 23 bits after the point. The zoo treats both alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch

FULL = "highest"
"""The precision without TF32."""

_backends: Any = torch.backends
_CONVOLUTIONS_AND_RECURRENT_LAYERS = (_backends.cudnn.conv, _backends.cudnn.rnn)
_KINDS = (*_CONVOLUTIONS_AND_RECURRENT_LAYERS, _backends.cuda.matmul, _backends.mkldnn.matmul)


def set_float32_precision(precision: str) -> None:
    """Set the precision of products, convolutions and recurrent layers.

    Args:
        precision: As for `torch.set_float32_matmul_precision`. With ``highest``, cuDNN does not use TF32 either, and
            with the others it does.
    """
    torch.set_float32_matmul_precision(precision)
    _backends.cudnn.allow_tf32 = precision != FULL
    for kind in _CONVOLUTIONS_AND_RECURRENT_LAYERS:  # which may have been set by `fp32_precision`
        kind.fp32_precision = "ieee" if precision == FULL else "tf32"


@contextmanager
def kept_float32_precision() -> Iterator[None]:
    """Restore torch's settings of the precision after a block."""
    by_kind = [kind.fp32_precision for kind in _KINDS]
    products = convolutions = None
    # torch refuses to summarize settings that a program has made for single kinds.
    with suppress(RuntimeError):
        products = torch.get_float32_matmul_precision()
    with suppress(RuntimeError):
        convolutions = _backends.cudnn.allow_tf32
    try:
        yield
    finally:
        if products is not None:
            torch.set_float32_matmul_precision(products)
        if convolutions is not None:
            _backends.cudnn.allow_tf32 = convolutions
        for kind, precision in zip(_KINDS, by_kind, strict=True):
            kind.fp32_precision = precision
