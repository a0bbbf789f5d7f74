"""What makes steps: a step is a function of its batch, and a step engine repeats it.

Neither knows Lightning or a model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer

from zoo.utils.autocast import autocast_without_cache, full_precision

Batch = tuple[Tensor, ...]
StepResult = dict[str, Tensor]
"""What a step measured, by name: tensors of the same shapes at every step, ``loss``, a scalar, among them."""


FetchBatches = Callable[[Tensor], list[Batch]]
"""From rows of the training set, int64 ``(K, B)``, to the K batches at them, on the device of the network."""


class LossAndMetrics(NamedTuple):
    """What a forward pass returns for training."""

    loss: Tensor
    """A scalar, whose gradient the step follows."""
    measured: Mapping[str, Tensor]
    """What the step measures besides: tensors of the same shapes for every batch of the same size, without gradients
    and not yet accumulated over steps."""


class Step(Protocol):
    """A function that makes one step of an optimizer."""

    def __call__(self, batch: Batch) -> StepResult:
        """Train on a batch and return what was measured."""


class AutogradStep:
    """A step by autograd: any network, any device.

    Args:
        forward: Maps a batch to its loss.
        optimizer: Of the parameters that are trained.
        update: Makes the optimizer's step from the gradients.
        before_update: Called with the optimizer when the gradients are there.
    """

    def __init__(
        self,
        forward: Callable[[Batch], LossAndMetrics],
        optimizer: Optimizer,
        update: Callable[[], None],
        before_update: Callable[[Optimizer], None],
    ) -> None:
        self.forward = forward
        self.optimizer = optimizer
        self.update = update
        self.before_update = before_update
        self.parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]

    def __call__(self, batch: Batch) -> StepResult:
        """Train on a batch and return what was measured."""
        for parameter in self.parameters:
            parameter.grad = None
        # The cache would keep the weights' short forms of the step before.
        with autocast_without_cache(batch[0].device.type):
            loss, measured = self.forward(batch)
        with full_precision(loss):  # as Lightning's loop computes gradients
            loss.backward()
            self.before_update(self.optimizer)
        with torch.no_grad():
            self.update()
        return {"loss": loss.detach(), **measured}


class StepEngine(Protocol):
    """Fetches batches and makes a step for each of them, several in one call."""

    def run(self, rows: Tensor) -> StepResult:
        """Make a step for each batch, or until the training is to stop.

        Args:
            rows: int64 ``(K, B)``, the rows of each batch in the training set.

        Returns:
            What the steps measured, each value ``(k, …)``, 1 ≤ k ≤ K: as many as steps were made.
        """


def stack_results(results: list[StepResult]) -> StepResult:
    """Return the results of K steps as one, each value ``(K, …)``."""
    stacked: dict[int, Tensor] = {}  # what has two names is stacked once
    for name, value in results[0].items():
        if value.data_ptr() not in stacked:
            stacked[value.data_ptr()] = torch.stack([result[name] for result in results])
    return {name: stacked[value.data_ptr()] for name, value in results[0].items()}
