"""A moving average of the weights that moves with every step of a chunk, as Lightning's callback moves it."""

from __future__ import annotations

from itertools import chain

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from zoo.training.steps import Batch, Step, StepResult


class AveragedStep:
    """A step after which the average moves, with the arithmetic of ``AveragedModel.update_parameters``.

    That function waits for the device in every call, and so cannot be captured as a CUDA graph.

    Args:
        step: Makes a step.
        module: The network that it trains.
        average: Its average, of parameters and buffers by one ``avg_fn``, on the same device.
    """

    def __init__(self, step: Step, module: nn.Module, average: AveragedModel) -> None:
        self.step = step
        self.module = module
        self.average = average
        self.is_empty = not average.n_averaged.item()

    def __call__(self, batch: Batch) -> StepResult:
        """Train on a batch, move the average, and return what was measured."""
        results = self.step(batch)
        count, mean = self.average.n_averaged, self.average.avg_fn
        assert mean is not None
        averaged = chain(self.average.module.parameters(), self.average.module.buffers())
        with torch.no_grad():
            for old, new in zip(averaged, chain(self.module.parameters(), self.module.buffers()), strict=True):
                old.copy_(new if self.is_empty else mean(old, new, count))
            count.add_(1)
        self.is_empty = False
        return results
