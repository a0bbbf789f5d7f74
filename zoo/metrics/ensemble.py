"""Ensemble metrics that are exact on any number of devices."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torchmetrics import Metric


class EnsembleTotals(Metric):
    """The accuracy of each ensemble member and of the majority vote, and the disagreement between members.

    The counts are summed over batches and devices.

    Args:
        num_members: The number of ensemble members K, at least 1.
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
        """Add a batch.

        Args:
            probabilities: The predicted probabilities of every member, ``(K, B, C)``.
            labels: ``(B,)``.
        """
        predictions = probabilities.argmax(dim=2)  # (K, B)
        votes = count_votes(predictions, probabilities.shape[2])  # (B, C)
        self.member_errors = self.member_errors + (predictions != labels).sum(dim=1)
        self.vote_errors = self.vote_errors + (majority_vote(votes, probabilities) != labels).sum()
        # The number of ordered pairs of members that predict different classes.
        self.disagreements = self.disagreements + (self.num_members**2 - votes.square().sum(dim=1)).sum()
        self.examples = self.examples + len(labels)

    def compute(self) -> dict[str, Tensor]:
        """Return the accuracies ``member_acc``, ``(K,)``, and ``vote_acc``, and ``disagreement``, all in [0, 1].

        The disagreement is the fraction of images for which two randomly chosen members predict different classes.
        """
        pairs = max(1, self.num_members * (self.num_members - 1))
        return {
            "member_acc": 1 - self.member_errors / self.examples,
            "vote_acc": 1 - self.vote_errors / self.examples,
            "disagreement": self.disagreements / (pairs * self.examples),
        }


def count_votes(predictions: Tensor, num_classes: int) -> Tensor:
    """Count the votes for each class: int64 ``(B, C)`` from the members' predictions ``(K, B)``."""
    return torch.nn.functional.one_hot(predictions, num_classes).sum(dim=0)


def majority_vote(votes: Tensor, probabilities: Tensor) -> Tensor:
    """Return the class with the most votes, ``(B,)``; a tie is broken by the higher mean probability.

    Args:
        votes: The votes for each class, ``(B, C)``.
        probabilities: The predicted probabilities of every member, ``(K, B, C)``.
    """
    # Float64 resolves small probabilities in the sum with many votes. On the CPU, as Apple's GPUs do not support it.
    mean = probabilities.cpu().double().mean(dim=0)
    return (votes.cpu() + mean.clamp(max=1 - 1e-6)).argmax(dim=1).to(votes.device)


def log_mean_probability(member_logits: Tensor) -> Tensor:
    """Return the log of the members' mean probabilities, ``(B, C)``, for logits ``(K, B, C)``."""
    log_probabilities = member_logits.log_softmax(dim=2)
    return log_probabilities.logsumexp(dim=0) - math.log(len(log_probabilities))
