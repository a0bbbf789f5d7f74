"""Adam's fused kernel, called without the optimizer's own Python.

``Optimizer.step`` of a small network spends as long in Python (profiling, grouping tensors, asking whether there is a
GPU) as autograd spends on the gradients. The kernel, its arguments and so the weights are the same.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks


def make_update(optimizer: Optimizer) -> Callable[[], None]:
    """Return a function that makes an optimizer's step without autograd, while nothing else changes the optimizer.

    For fused Adam and AdamW on a CPU it calls the kernel; for others it is ``optimizer.step``.
    """
    fused = type(optimizer) in (Adam, AdamW) and all(
        group["fused"] and all(parameter.device.type == "cpu" for parameter in group["params"])
        for group in optimizer.param_groups
    )
    return _FusedAdam(optimizer) if fused and not has_step_hooks(optimizer) else _own_step(optimizer)


def has_step_hooks(optimizer: Optimizer) -> bool:
    """Return whether something is called at every step of an optimizer."""
    own = (optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks)
    return any((*own, _global_optimizer_pre_hooks, _global_optimizer_post_hooks))


def _own_step(optimizer: Optimizer) -> Callable[[], None]:
    def step() -> None:
        optimizer.step()

    return step


class _FusedAdam:
    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.groups: list[tuple[dict[str, Any], list[nn.Parameter], list[list[Tensor]], Tensor]] = []
        """Each group's settings, its parameters that have made a step, their state, and all their counts of steps."""
        self.untrained: list[nn.Parameter] = []
        self._prepare()

    def __call__(self) -> None:
        gradients = [[parameter.grad for parameter in parameters] for _, parameters, _, _ in self.groups]
        as_before = all(gradient is not None for group in gradients for gradient in group)
        if not as_before or any(parameter.grad is not None for parameter in self.untrained):
            # A parameter's first step makes its moments, and lets a schedule see that there was a step.
            self.optimizer.step()
            self._prepare()
            return
        for (settings, parameters, (moments, squares, largest, steps), counts), group in zip(
            self.groups, gradients, strict=True
        ):
            beta1, beta2 = settings["betas"]
            fused = torch._fused_adamw_ if settings["decoupled_weight_decay"] else torch._fused_adam_
            counts.add_(1)
            fused(
                *(parameters, group, moments, squares, largest, steps),  # type: ignore[arg-type]
                amsgrad=settings["amsgrad"],
                beta1=beta1,
                beta2=beta2,
                lr=settings["lr"],
                weight_decay=settings["weight_decay"],
                eps=settings["eps"],
                maximize=settings["maximize"],
            )

    def _prepare(self) -> None:
        state = self.optimizer.state
        self.groups, self.untrained = [], []
        for settings in self.optimizer.param_groups:
            parameters = [parameter for parameter in settings["params"] if state.get(parameter)]
            self.untrained += [parameter for parameter in settings["params"] if not state.get(parameter)]
            names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq" if settings["amsgrad"] else None, "step")
            if not parameters:
                continue
            # One tensor for all: counting six steps one by one takes a third as long as the update of a small network.
            counts = torch.stack([state[parameter]["step"] for parameter in parameters])
            for parameter, count in zip(parameters, counts, strict=True):
                state[parameter]["step"] = count
            tensors = [[state[parameter][name] for parameter in parameters] if name else [] for name in names]
            self.groups.append((settings, parameters, tensors, counts))
