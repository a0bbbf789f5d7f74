"""What makes the steps of a block: the optimizer's own method, or Adam layer by layer within the backward pass."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks


class Update(ABC):
    """Makes an optimizer's steps, one after the other, while nothing else changes it.

    Gradients come either all in the parameters' ``grad`` when the step is made, or layer by layer before it.
    """

    optimizer: Optimizer
    """Whose steps they are."""
    keeps_gradients = False
    """Whether the step's gradients shall lie in ``grad`` after it."""

    @abstractmethod
    def memory(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Return where a layer's gradients may be written, for each parameter a tensor of its shape.

        What is written there stays until it is taken.
        """

    @abstractmethod
    def take(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Take a layer's gradients; its weights may be others after that.

        Args:
            parameters: The layer's.
            gradients: Of the same shapes, in `memory` or elsewhere; autograd is off.
        """

    @abstractmethod
    def step(self) -> None:
        """Make the step for whatever has a gradient."""


class WithPenalty(Update):
    """Another update, of a cost with the penalty λ·Σw² over the weights, but not over biases.

    Args:
        update: The other; it is given the gradients layer by layer.
        penalty: λ.
    """

    def __init__(self, update: Update, penalty: float) -> None:
        self.update = update
        self.optimizer = update.optimizer
        self.penalty = penalty

    def memory(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        """Return the other's."""
        return self.update.memory(parameters)

    def take(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        """Add the penalty's gradient, 2λw."""
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if parameter.dim() > 1:
                gradient.add_(parameter.mul(2).mul_(self.penalty))
        self.update.take(parameters, gradients)

    def step(self) -> None:
        """Make the other's step."""
        self.update.step()


def make_update(optimizer: Optimizer) -> Update:
    """Return what makes an optimizer's steps: layer by layer for Adam and AdamW on a CPU, else its own ``step``."""
    hooks = (
        *(optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks),
        *(_global_optimizer_pre_hooks, _global_optimizer_post_hooks),
    )
    plain = type(optimizer) in (Adam, AdamW) and all(_is_plain(group) for group in optimizer.param_groups)
    return _AdamUpdate(optimizer) if plain and not any(hooks) else _OwnUpdate(optimizer)


def _is_plain(group: dict[str, Any]) -> bool:
    return bool(group["fused"]) and all(parameter.device.type == "cpu" for parameter in group["params"])


class _OwnUpdate(Update):
    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer

    def memory(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        return _own_memory(parameters)

    def take(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient

    def step(self) -> None:
        self.optimizer.step()


def _own_memory(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [torch.empty_like(each) if each.grad is None else each.grad for each in parameters]


class _AdamUpdate(Update):
    """One that uses a gradient while it is still in the processor's cache.

    A layer's gradients are used as soon as they are there, so all layers' may have the same memory, which the cache
    holds; and the optimizer's own step asks every time whether the machine has a GPU, which takes longer than a small
    network's update. A parameter's first step is the optimizer's own, which makes its moments and lets a schedule see
    that there was a step.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.moments: dict[Tensor, _Moments] = {}
        """Of the parameters that have made a step here."""
        self.shared: Tensor | None = None
        """Memory for the largest layer's gradients."""
        self.places: dict[Tensor, list[Tensor]] = {}
        """A layer's first parameter to the parts of it that the layer's gradients take."""
        self.largest = 0
        """Numbers in the largest layer's gradients, as the first step found them."""
        self.taken: list[tuple[Tensor, Tensor]] = []
        """Parameters and their gradients in the step under way."""

    def memory(self, parameters: Sequence[Tensor]) -> list[Tensor]:
        if not self.keeps_gradients and parameters[0] in self.places:
            return self.places[parameters[0]]
        sizes = [each.numel() for each in parameters]
        if self.keeps_gradients or any(each not in self.moments or not each.is_contiguous() for each in parameters):
            self.largest = max(self.largest, sum(sizes))
            return _own_memory(parameters)
        if self.shared is None:
            self.shared = parameters[0].new_empty(self.largest)
        parts = self.shared[: sum(sizes)].split(sizes)
        places = [part.view_as(each) for part, each in zip(parts, parameters, strict=True)]
        self.places[parameters[0]] = places
        return places

    def take(self, parameters: Sequence[Tensor], gradients: Sequence[Tensor]) -> None:
        for parameter, gradient in zip(parameters, gradients, strict=True):
            moments = self.moments.get(parameter)
            if moments is None:
                parameter.grad = gradient
            else:
                moments.update(gradient)
            self.taken.append((parameter, gradient))

    @torch.no_grad()
    def step(self) -> None:
        groups = self.optimizer.param_groups
        waiting = [each for group in groups for each in group["params"] if each.grad is not None]
        if all(each in self.moments for each in waiting):
            for parameter in waiting:
                self.moments[parameter].update(parameter.grad)
        else:
            self.optimizer.step()
            for group in groups:
                for parameter in group["params"]:
                    if parameter.grad is not None:
                        self.moments[parameter] = _Moments(parameter, group, self.optimizer.state[parameter])
        for parameter, gradient in self.taken:
            parameter.grad = gradient if self.keeps_gradients else None
        self.taken.clear()


class _Moments:
    """A parameter's moments, and the settings of its group, which a schedule may change."""

    def __init__(self, parameter: Tensor, settings: dict[str, Any], state: dict[str, Tensor]) -> None:
        self.settings = settings
        self.steps = state["step"]
        self.fused = torch._fused_adamw_ if settings["decoupled_weight_decay"] else torch._fused_adam_
        largest = [state["max_exp_avg_sq"]] if settings["amsgrad"] else []
        self.parameter = [parameter]
        self.state = ([state["exp_avg"]], [state["exp_avg_sq"]], largest, [self.steps])

    def update(self, gradient: Tensor) -> None:
        settings = self.settings
        beta1, beta2 = settings["betas"]
        self.steps.add_(1)
        self.fused(
            *(self.parameter, [gradient], *self.state),
            amsgrad=settings["amsgrad"],
            beta1=beta1,
            beta2=beta2,
            lr=settings["lr"],
            weight_decay=settings["weight_decay"],
            eps=settings["eps"],
            maximize=settings["maximize"],
        )
