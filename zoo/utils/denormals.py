"""Denormal numbers, flushed to zero.

Adam's first moment of a weight without gradient decays by 0.9 a step. After some 830 steps it is denormal (below
1.2e-38), and rounding to nearest keeps it there. On some processors, Intel's among them, arithmetic on denormal numbers
takes many times as long, and an epoch nearly twice as long. The accuracy of networks is the same without them.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

FLUSH_DENORMALS = "ZOO_FLUSH_DENORMALS"
"""Environment variable: 0 keeps denormal numbers."""


class _OfThread(threading.local):
    """What holds for one thread, as the processor's own setting does."""

    def __init__(self) -> None:
        self.before: list[bool] = []


_thread = _OfThread()


def flush_denormals() -> None:
    """Let torch's CPU kernels read and write denormal numbers as zeros, in all of its threads.

    On processors that cannot do so, and with ``ZOO_FLUSH_DENORMALS=0``, nothing changes.
    """
    if os.environ.get(FLUSH_DENORMALS) != "0":
        import numpy as np
        import torch

        for dtype in (np.float32, np.float64):
            np.finfo(dtype)  # numpy 1 computes the smallest denormal number at first use, and warns if it is 0
        _thread.before.append(flushes_denormals())
        torch.set_flush_denormal(True)


@contextmanager
def denormals_given_back() -> Iterator[None]:
    """Undo at the end of a block what `flush_denormals` did within it. torch is not imported for that."""
    depth = len(_thread.before)
    try:
        yield
    finally:
        if len(_thread.before) > depth:
            import torch

            torch.set_flush_denormal(_thread.before[depth])
            del _thread.before[depth:]


def flushes_denormals() -> bool:
    """Return whether torch's CPU kernels flush denormal numbers in this thread."""
    import torch

    return bool(torch.full((1,), 1e-39, dtype=torch.float32, device="cpu").mul_(0.5) == 0)
