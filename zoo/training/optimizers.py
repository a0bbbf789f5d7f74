"""Optimizers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

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
    name: str, parameters: Iterable[Any], lr: float, momentum: float, weight_decay: float, fused: bool = True
) -> Optimizer:
    """Return an optimizer of this name.

    Args:
        name: One of `OPTIMIZERS`.
        parameters: Tensors, or groups of them.
        lr: Learning rate.
        momentum: For ``sgd`` and ``rmsprop``; the others have moments of their own.
        weight_decay: The optimizer's own.
        fused: Whether a step may be one pass over the memory; where there is no such step it never is.
    """
    settings: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
    if name in WITH_MOMENTUM:
        settings["momentum"] = momentum
    if name not in WITHOUT_FUSED_STEP:
        settings["fused"] = fused
    return OPTIMIZERS[name](parameters, **settings)
