"""Adam's fused kernel, called without the optimizer's own Python.

``Optimizer.step`` of a small network spends as long in Python (profiling, grouping tensors, asking whether there is a
GPU) as autograd spends on the gradients. The kernel, its arguments and so the weights are the same.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from zoo.training.max_norm import MaxNorm, max_norm_of


def make_update(optimizer: Optimizer) -> Callable[[], None]:
    """Return a function that makes an optimizer's step without autograd, while nothing else changes the optimizer.

    For fused Adam and AdamW it calls the kernel; for others it is ``optimizer.step``.
    """
    fused = type(optimizer) in (Adam, AdamW) and all(group["fused"] for group in optimizer.param_groups)
    if not fused or has_step_hooks(optimizer):
        return _own_step(optimizer)
    devices = {parameter.device.type for group in optimizer.param_groups for parameter in group["params"]}
    if devices == {"cpu"}:
        return _FusedAdam(optimizer)
    return FusedAdamInPieces(optimizer) if devices == {"cuda"} else _own_step(optimizer)


def has_step_hooks(optimizer: Optimizer) -> bool:
    """Return whether something that the zoo does not know is called at every step of an optimizer."""
    after = [hook for hook in optimizer._optimizer_step_post_hooks.values() if not isinstance(hook, MaxNorm)]
    return any((optimizer._optimizer_step_pre_hooks, after, _global_optimizer_pre_hooks, _global_optimizer_post_hooks))


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
        self.max_norm = max_norm_of(optimizer)
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
            counts.add_(1)
            _call_kernel(settings, parameters, group, moments, squares, largest, steps)
        if self.max_norm is not None:
            self.max_norm(self.optimizer)

    def _prepare(self) -> None:
        state = self.optimizer.state
        self.groups, self.untrained = [], []
        for settings in self.optimizer.param_groups:
            parameters = [parameter for parameter in settings["params"] if state.get(parameter)]
            self.untrained += [parameter for parameter in settings["params"] if not state.get(parameter)]
            if not parameters:
                continue
            # One tensor for all: counting six steps one by one takes a third as long as the update of a small network.
            counts = torch.stack([state[parameter]["step"] for parameter in parameters])
            for parameter, count in zip(parameters, counts, strict=True):
                state[parameter]["step"] = count
            names = (*_moment_names(settings), "step")
            tensors = [[state[parameter][name] for parameter in parameters] if name else [] for name in names]
            self.groups.append((settings, parameters, tensors, counts))


class FusedAdamInPieces:
    """Hands a GPU's kernel each parameter in several pieces, so that more multiprocessors work on a small network.

    The kernel gives a block of threads 65,536 numbers, and a network of a million weights has 18 such blocks for more
    than a hundred multiprocessors. Every number is computed as before. A launch takes a limited number of tensors,
    and a second launch for the last few would take as long as the first.

    Args:
        optimizer: Fused Adam or AdamW.
    """

    TENSORS_OF_A_LAUNCH = 36
    """Of torch for CUDA 12; for CUDA 13, more. With the largest second moments of AMSGrad, 30."""
    GRANULARITY = 1024
    """Numbers of which a piece has a multiple, so that the kernel reads aligned vectors."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optimizer = optimizer
        self.max_norm = max_norm_of(optimizer)

    def __call__(self) -> None:
        """Make a step."""
        state, groups = self.optimizer.state, self.optimizer.param_groups
        trained = [[each for each in group["params"] if each.grad is not None] for group in groups]
        tensors = [[each, each.grad, *state[each].values()] for group in trained for each in group]
        # A parameter's first step makes its moments.
        if not all(state[each] for group in trained for each in group) or not all(
            part.is_contiguous() for parts in tensors for part in parts
        ):
            self.optimizer.step()
            return
        for settings, parameters in zip(groups, trained, strict=True):
            steps = [state[parameter]["step"] for parameter in parameters]
            if not steps:
                continue
            torch._foreach_add_(steps, 1)
            size = self.piece_size([parameter.numel() for parameter in parameters], settings["amsgrad"])
            columns: list[list[Tensor]] = [[], [], [], [], [], []]
            for parameter, step in zip(parameters, steps, strict=True):
                moments = [state[parameter][name] if name else None for name in _moment_names(settings)]
                for column, tensor in zip(columns, (parameter.detach(), parameter.grad, *moments), strict=False):
                    column += tensor.view(-1).split(size) if tensor is not None else []
                columns[-1] += [step] * (len(columns[0]) - len(columns[-1]))
            _call_kernel(settings, *columns)
        if self.max_norm is not None:
            self.max_norm(self.optimizer)

    def piece_size(self, sizes: Sequence[int], amsgrad: bool = False) -> int:
        """Return the least size of pieces that fit into as few launches as the parameters need.

        Args:
            sizes: The numbers in each parameter.
            amsgrad: Whether the optimizer is AMSGrad.
        """
        of_a_launch = 30 if amsgrad else self.TENSORS_OF_A_LAUNCH
        most = -(-len(sizes) // of_a_launch) * of_a_launch

        def fits(units: int) -> bool:
            return sum(-(-numbers // (units * self.GRANULARITY)) for numbers in sizes) <= most

        return bisect_left(range(max(sizes)), True, lo=1, key=fits) * self.GRANULARITY


def _moment_names(settings: dict[str, Any]) -> tuple[str, str, str | None]:
    return "exp_avg", "exp_avg_sq", "max_exp_avg_sq" if settings["amsgrad"] else None


def _call_kernel(settings: dict[str, Any], *tensors: Sequence[Tensor | None]) -> None:
    """Call the kernel for one group: parameters, gradients, the three kinds of moments, and counts of steps."""
    beta1, beta2 = settings["betas"]
    fused: Callable[..., None] = torch._fused_adamw_ if settings["decoupled_weight_decay"] else torch._fused_adam_
    fused(
        *tensors,
        amsgrad=settings["amsgrad"],
        beta1=beta1,
        beta2=beta2,
        lr=settings["lr"],
        weight_decay=settings["weight_decay"],
        eps=settings["eps"],
        maximize=settings["maximize"],
    )
