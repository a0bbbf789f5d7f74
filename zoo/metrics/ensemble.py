"""What is measured of several experts together, exact on any number of devices."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric


class EnsembleTotals(Metric):
    """Errors of each member, of their vote and their disagreement, summed over batches and devices.

    Args:
        num_members: K, at least 1.
    """

    full_state_update = False
    member_errors: Tensor
    vote_errors: Tensor
    disagreements: Tensor
    examples: Tensor

    def __init__(self, num_members: int) -> None:
        super().__init__()
        self.num_members = num_members
        self.add_state("member_errors", torch.zeros(num_members, dtype=torch.int64), dist_reduce_fx="sum")
        for name in ("vote_errors", "disagreements", "examples"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, probabilities: Tensor, labels: Tensor) -> None:
        """Add a batch: every member's probabilities ``(K, B, C)`` and the labels ``(B,)``."""
        predictions = probabilities.argmax(dim=2)  # (K, B)
        votes = votes_of(predictions, probabilities.shape[2])  # (B, C)
        self.member_errors = self.member_errors + (predictions != labels).sum(dim=1)
        self.vote_errors = self.vote_errors + (elected(votes, probabilities) != labels).sum()
        # Of all ordered pairs of members, how many give an image different classes.
        self.disagreements = self.disagreements + (self.num_members**2 - votes.square().sum(dim=1)).sum()
        self.examples = self.examples + len(labels)

    def compute(self) -> dict[str, Tensor]:
        """Return accuracies in [0, 1]: ``member_acc`` ``(K,)`` and ``vote_acc``; and ``disagreement``.

        The last is the share of images to which two members, drawn at random, give different classes.
        """
        pairs = max(1, self.num_members * (self.num_members - 1))
        return {
            "member_acc": 1 - self.member_errors / self.examples,
            "vote_acc": 1 - self.vote_errors / self.examples,
            "disagreement": self.disagreements / (pairs * self.examples),
        }


def votes_of(predictions: Tensor, num_classes: int) -> Tensor:
    """Return how many members voted for each class, int64 ``(B, C)``, from their predictions ``(K, B)``."""
    return torch.nn.functional.one_hot(predictions, num_classes).sum(dim=0)


def elected(votes: Tensor, probabilities: Tensor) -> Tensor:
    """Return the class with most votes ``(B,)``; among equals, the one with the higher mean probability.

    Args:
        votes: ``(B, C)``.
        probabilities: ``(K, B, C)``.
    """
    # In double precision, where a probability still counts beside a thousand votes; Apple's GPUs have none.
    mean = probabilities.cpu().double().mean(dim=0)
    return (votes.cpu() + mean.clamp(max=1 - 1e-6)).argmax(dim=1).to(votes.device)
