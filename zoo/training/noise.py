"""Passes through a network without the noise of its training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd


@contextmanager
def without_dropout(parts: Iterable[nn.Module]) -> Iterator[bool]:
    """Drop nothing in a block, whatever the mode of the modules; yield whether anything would have been dropped.

    No random number is drawn for dropout in the block.

    Args:
        parts: The modules of a network.
    """
    before: list[tuple[nn.Module, str, float]] = []
    for part in parts:
        name = "p" if isinstance(part, _DropoutNd) else "dropout" if isinstance(part, nn.RNNBase) else None
        if name is not None and getattr(part, name):
            before.append((part, name, getattr(part, name)))
            setattr(part, name, 0.0)
    try:
        yield any(part.training for part, _, _ in before)
    finally:
        for part, name, rate in before:
            setattr(part, name, rate)


@contextmanager
def without_running_averages(parts: Iterable[nn.Module]) -> Iterator[None]:
    """Let batch norm in training mode normalize by the statistics of each batch, and keep no account of them.

    Args:
        parts: The modules of a network.
    """
    layers = [part for part in parts if isinstance(part, _NormBase) and part.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
