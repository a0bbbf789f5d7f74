"""Optimisers by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.optim import SGD, Adagrad, Adam, AdamW, Optimizer, RMSprop
from torch.optim.adam import adam

from zoo.errors import unknown_name

OPTIMISERS: dict[str, Callable[..., Optimizer]] = {
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


def check_optimiser(name: str) -> None:
    """Raise `UsageError` unless the optimiser is known."""
    if name not in OPTIMISERS:
        raise unknown_name("optimizer", name, OPTIMISERS)


def make_optimiser(name: str, parameters: Iterable[Any], lr: float, momentum: float, weight_decay: float) -> Optimizer:
    """Return an optimiser of this name.

    Args:
        name: One of `OPTIMISERS`.
        parameters: Tensors, or groups of them.
        lr: Learning rate.
        momentum: For ``sgd`` and ``rmsprop``; the others have moments of their own.
        weight_decay: The optimiser's own.
    """
    settings: dict[str, Any] = {"lr": lr, "weight_decay": weight_decay}
    if name in WITH_MOMENTUM:
        settings["momentum"] = momentum
    if name not in WITHOUT_FUSED_STEP:
        settings["fused"] = True  # one pass over the memory for the whole step
    return OPTIMISERS[name](parameters, **settings)


def make_update(optimizer: Optimizer) -> Callable[[], object]:
    """Return what makes a step of an optimiser, to be called again and again.

    That is its own ``step``, but for Adam and AdamW: theirs asks every time whether the machine has a GPU, which takes
    longer than a small network's update. Nothing else may replace the optimiser's state meanwhile.
    """
    hooked = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    plain = type(optimizer) in (Adam, AdamW) and all(group["fused"] for group in optimizer.param_groups)
    return _AdamUpdate(optimizer) if plain and not hooked else optimizer.step


class _AdamUpdate:
    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.groups: list[_AdamGroup] = []

    def __call__(self) -> None:
        if self.groups and all(group.is_complete() for group in self.groups):
            for group in self.groups:
                group.update()
        else:
            # Makes what is missing of the state, and lets a schedule see that there was a step.
            self.optimizer.step()
            self.groups = [_AdamGroup(group, self.optimizer.state) for group in self.optimizer.param_groups]


class _AdamGroup:
    """Some parameters with their settings and moments."""

    def __init__(self, settings: dict[str, Any], state: Mapping[Tensor, Mapping[str, Tensor]]) -> None:
        self.settings = settings
        self.parameters = [parameter for parameter in settings["params"] if parameter.grad is not None]
        parts = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step")
        states = [state[parameter] for parameter in self.parameters]
        self.state = [[each[part] for each in states if part in each] for part in parts]

    def is_complete(self) -> bool:
        """Whether the parameters that have a gradient are those that had one when this was made."""
        count = sum(parameter.grad is not None for parameter in self.settings["params"])
        return count == len(self.parameters) and all(parameter.grad is not None for parameter in self.parameters)

    def update(self) -> None:
        settings = self.settings
        beta1, beta2 = settings["betas"]
        first, second, largest, steps = self.state
        gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
        adam(
            *(self.parameters, gradients, first, second, largest, steps),
            fused=True,
            amsgrad=settings["amsgrad"],
            decoupled_weight_decay=settings["decoupled_weight_decay"],
            beta1=beta1,
            beta2=beta2,
            lr=settings["lr"],
            weight_decay=settings["weight_decay"],
            eps=settings["eps"],
            maximize=settings["maximize"],
        )
