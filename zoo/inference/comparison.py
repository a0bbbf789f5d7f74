"""Comparison of members on the 10,000 official test images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import binomtest
from torch import Tensor

from zoo.data.mnist import load_test_data
from zoo.inference.ensemble import Committee


@dataclass(frozen=True)
class ContingencyTable:
    """Numbers of correct and incorrect predictions of two classifiers on the same images.

    Args:
        both_correct: Images that both classify correctly.
        only_first_correct: Images that only the first classifies correctly.
        only_second_correct: Images that only the second classifies correctly.
        both_incorrect: Images that both misclassify.
    """

    both_correct: int
    only_first_correct: int
    only_second_correct: int
    both_incorrect: int

    @property
    def p_value(self) -> float:
        """p-value of McNemar's exact test that the two classifiers are equally accurate.

        It is the probability of a difference at least this large between two equally accurate classifiers. Under this
        hypothesis, each image that only one of them classifies correctly is equally likely to be the first's or the
        second's. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
        Psychometrika 1947.
        """
        different = self.only_first_correct + self.only_second_correct
        return float(binomtest(self.only_first_correct, different, 0.5).pvalue) if different else 1.0


def contingency_table(first_correct: Tensor, second_correct: Tensor) -> ContingencyTable:
    """Count the images that both, one or neither of two classifiers predict correctly.

    Args:
        first_correct: Which predictions of the first classifier are correct, bool ``(N,)``.
        second_correct: Which predictions of the second classifier are correct, bool ``(N,)``.
    """
    return ContingencyTable(
        int((first_correct & second_correct).sum()),
        int((first_correct & ~second_correct).sum()),
        int((~first_correct & second_correct).sum()),
        int((~first_correct & ~second_correct).sum()),
    )


@dataclass(frozen=True)
class Comparison:
    """Predictions of members for the official test images."""

    images: Tensor
    """``(N, 1, 28, 28)``."""
    labels: Tensor
    predictions: dict[str, Tensor]
    """Predicted classes of each member, ``(N,)``, by name."""
    mean: Tensor
    """Classes with the highest mean probability, ``(N,)``."""
    vote: Tensor
    """Classes with the most votes, ``(N,)``."""

    def correct(self, name: str) -> Tensor:
        """Return which images a member classifies correctly, bool ``(N,)``."""
        return self.predictions[name] == self.labels


def compare(names: list[str]) -> Comparison:
    """Predict the 10,000 test images with each network.

    Args:
        names: Members that ship trained, or paths of checkpoints.

    Raises:
        UsageError: A name is unknown, or a member ships no trained network or is not a classifier of the ten digits.
    """
    committee = Committee(names)
    for name, trained in committee.members.items():
        trained.check_digits(name, "the comparison on MNIST's test images")
    batches = list(load_test_data().test_dataloader())
    images, labels = (torch.cat([batch[part] for batch in batches]) for part in (0, 1))
    found = committee.predict(images)
    predictions = dict(zip(names, found.probabilities.argmax(dim=2), strict=True))
    return Comparison(images, labels, predictions, found.mean.argmax(dim=1), found.majority_vote)
