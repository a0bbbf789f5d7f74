"""Optimizers by name."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop

from zoo.utils.errors import unknown_name

OPTIMIZERS: dict[str, Callable[..., Optimizer]] = {
    "adam": Adam,
    "adamw": AdamW,
    "sgd": SGD,
    "rmsprop": RMSprop,
    "adagrad": Adagrad,
}
"""Name to class. Adam: Kingma and Ba, 2015; AdamW: Loshchilov and Hutter, 2019; SGD with momentum: Polyak, 1964;
RMSprop: Tieleman and Hinton, 2012; Adagrad: Duchi, Hazan and Singer, 2011."""

WITH_MOMENTUM = ("sgd", "rmsprop")
WITHOUT_FUSED_STEP = ("rmsprop",)


def check_optimizer(name: str) -> None:
    """Raise `UsageError` unless the optimizer is known."""
    if name not in OPTIMIZERS:
        raise unknown_name("optimizer", name, OPTIMIZERS)


def make_optimizer(
    name: str,
    parameters: Iterable[Any],
    lr: float,
    momentum: float,
    weight_decay: float,
    fused: bool = True,
    device: str = "cpu",
) -> Optimizer:
    """Return an optimizer of this name.

    Args:
        name: One of `OPTIMIZERS`.
        parameters: Tensors, or groups of them.
        lr: Learning rate.
        momentum: For ``sgd`` and ``rmsprop``; the others have moments of their own.
        weight_decay: The optimizer's own.
        fused: Whether a step may be one pass over the memory; where there is no such step it never is.
        device: Kind of the parameters' device.
    """
    settings: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
    if name in WITH_MOMENTUM:
        settings["momentum"] = momentum
    if name not in WITHOUT_FUSED_STEP:
        settings["fused"] = fused and not (name == "adagrad" and device == "cuda" and not _has_fused_adagrad())
    return OPTIMIZERS[name](parameters, **settings)


@functools.cache
def _has_fused_adagrad() -> bool:
    """Return whether torch has a fused step of Adagrad for GPUs; some versions have none, and say so in the step."""
    parameter = torch.zeros(1, device="cuda", requires_grad=True)
    parameter.grad = torch.zeros_like(parameter)
    try:
        Adagrad([parameter], fused=True).step()
    except RuntimeError:
        return False
    return True
