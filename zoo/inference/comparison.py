"""Members beside each other on the same 10,000 images."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from scipy.stats import binomtest
from torch import Tensor

from zoo.data.mnist import load_test_data
from zoo.inference.ensemble import Committee


@dataclass(frozen=True)
class Paired:
    """Two sets of answers to the same images, image by image."""

    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int

    @property
    def p_value(self) -> float:
        """How likely a difference as large as this, or larger, is between two networks that are equally good.

        McNemar's test in its exact form: the images that only one of them gets right fall to either like the tosses of
        a coin. McNemar, "Note on the sampling error of the difference between correlated proportions or percentages",
        Psychometrika 1947.
        """
        different = self.only_first_right + self.only_second_right
        return float(binomtest(self.only_first_right, different, 0.5).pvalue) if different else 1.0


def pair(first_right: Tensor, second_right: Tensor) -> Paired:
    """Count from which images are answered rightly, both bool ``(N,)``."""
    return Paired(
        int((first_right & second_right).sum()),
        int((first_right & ~second_right).sum()),
        int((~first_right & second_right).sum()),
        int((~first_right & ~second_right).sum()),
    )


@dataclass(frozen=True)
class Comparison:
    """What some members say of the official test images."""

    images: Tensor
    """``(N, 1, 28, 28)``."""
    labels: Tensor
    answers: dict[str, Tensor]
    """Each member's classes, ``(N,)``, by name."""
    mean: Tensor
    """The classes of the highest mean probability, ``(N,)``."""
    vote: Tensor
    """The classes with most votes, ``(N,)``."""

    def right(self, name: str) -> Tensor:
        """Which images a member gets right, bool ``(N,)``."""
        return self.answers[name] == self.labels


def compare(names: list[str]) -> Comparison:
    """Ask members about the 10,000 test images.

    Raises:
        UsageError: One is unknown, ships no trained network, or is no classifier.
    """
    committee = Committee(names)
    batches = list(load_test_data().test_dataloader())
    images, labels = (torch.cat([batch[place] for batch in batches]) for place in (0, 1))
    found = committee.ask(images)
    answers = dict(zip(names, found.probabilities.argmax(dim=2), strict=True))
    return Comparison(images, labels, answers, found.mean.argmax(dim=1), found.elected)
