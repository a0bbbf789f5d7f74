"""Counts that are exact on any number of devices."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

CALIBRATION_BINS = 15
"""Of the expected calibration error (`zoo.evaluation.Evaluation`)."""


class ClassificationTotals(Metric):
    """Sum of losses, errors and examples over batches and devices, in one pass that costs little.

    One metric for three figures: an error count as a float mean would round, and torchmetrics' ready-made accuracy
    and mean together cost more per step than a small network's forward pass. The loss is summed in float32, because
    Apple's GPUs have no float64; over an epoch of MNIST that keeps five digits.
    """

    full_state_update = False
    loss_sum: Tensor
    errors: Tensor
    examples: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("loss_sum", torch.zeros(()), dist_reduce_fx="sum")
        self.add_state("errors", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("examples", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, mean_loss: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Add a batch: its mean loss ``()``, logits ``(B, C)`` and labels ``(B,)``.

        Or N batches of B each, one after the other: mean losses ``(N,)``, logits ``(N·B, C)`` and labels ``(N·B,)``.
        """
        # Not in place: a spawned process shares the memory of the tensors that it was handed.
        loss_sum = self.loss_sum
        for each in (mean_loss.detach() * (len(labels) // mean_loss.numel())).reshape(-1).unbind():
            loss_sum = loss_sum + each
        self.loss_sum = loss_sum
        self.errors = self.errors + (logits.detach().argmax(dim=1) != labels).sum()
        self.examples = self.examples + len(labels)

    def compute(self) -> dict[str, Tensor]:
        """Return the mean ``loss`` in nats, ``acc`` in [0, 1] and ``errors``, a whole number."""
        return {
            "loss": self.loss_sum / self.examples,
            "acc": (self.examples - self.errors) / self.examples,
            "errors": self.errors,
        }
