"""Max-norm: after each step of an optimizer, no unit's incoming weights have a Euclidean length of more than c.

Srivastava, Hinton, Krizhevsky, Sutskever and Salakhutdinov, "Dropout: a simple way to prevent neural networks from
overfitting", JMLR 2014, section 5.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


class MaxNorm:
    """A hook after an optimizer's step that projects weights onto the ball of radius c.

    It is torch's own kind of hook, so that any loop calls it. `zoo.training.fused_update` makes steps without the
    optimizer and calls it too. It is called once after each step: twice could round differently.

    Args:
        bound: c, more than 0.
        incoming: For each weight tensor, the dimensions along which the incoming weights of one unit lie.
    """

    def __init__(self, bound: float, incoming: Mapping[nn.Parameter, tuple[int, ...]]) -> None:
        self.bound = bound
        self.incoming = dict(incoming)

    @torch.no_grad()
    def __call__(self, optimizer: Optimizer, *_: Any) -> None:
        """Project the weights that the step has changed. No number is copied to the host."""
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                # A copy of the optimizer that tries a step has other parameters.
                if parameter.grad is not None and parameter in self.incoming:
                    parameter.mul_(shrinkage(parameter, self.bound, self.incoming[parameter]))


def shrinkage(weight: Tensor, bound: float, dimensions: tuple[int, ...]) -> Tensor:
    """Return min(1, c / ‖w‖) of each unit, with a length of 1 in the dimensions of its incoming weights.

    Args:
        weight: Any shape.
        bound: c.
        dimensions: Those of the incoming weights of one unit.
    """
    lengths: Tensor = torch.linalg.vector_norm(weight, dim=dimensions, keepdim=True)
    return (bound / lengths).clamp_max(1)


def max_norm_of(optimizer: Optimizer) -> MaxNorm | None:
    """Return the max-norm that an optimizer has as a hook, or None."""
    return next((hook for hook in optimizer._optimizer_step_post_hooks.values() if isinstance(hook, MaxNorm)), None)
