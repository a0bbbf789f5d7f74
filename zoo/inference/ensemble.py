"""The committee: an ensemble of trained networks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.metrics.ensemble import count_votes, majority_vote
from zoo.pretrained.loading import TrainedClassifier, load_classifier
from zoo.pretrained.registry import list_models
from zoo.utils.checks import join_names
from zoo.utils.errors import UsageError

CHUNK_SIZE = 1000
"""Images per forward pass."""


@dataclass(frozen=True)
class Predictions:
    """Predictions of a committee.

    Args:
        probabilities: Class probabilities of each member, ``(K, B, C)``: K members, B images, C classes.
    """

    probabilities: Tensor

    @property
    def mean(self) -> Tensor:
        """Mean probability of each class over the members, ``(B, C)``."""
        return self.probabilities.mean(dim=0)

    @property
    def votes(self) -> Tensor:
        """Number of members that predict each class, int64 ``(B, C)``."""
        return count_votes(self.probabilities.argmax(dim=2), self.probabilities.shape[2])

    @property
    def majority_vote(self) -> Tensor:
        """Class with the most votes, ``(B,)``. Ties go to the class with the higher mean probability."""
        return majority_vote(self.votes, self.probabilities)


class Committee:
    """An ensemble of trained networks.

    Args:
        names: Members that ship trained, or paths of checkpoints. If empty, all members that ship trained.

    Raises:
        UsageError: A name is unknown, or a member ships no trained network or is not a classifier, or the networks
            differ in their classes or in their preprocessing.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.members: dict[str, TrainedClassifier] = {}
        self.class_names: tuple[str, ...] = ()
        self.mnist_like = True
        for name in names or list_models(pretrained=True):
            trained = load_classifier(name)
            self.members[name] = trained
            self.class_names = self.class_names or trained.class_names
            if len(self.members) == 1:
                self.mnist_like = trained.mnist_like
            elif trained.mnist_like != self.mnist_like:
                raise UsageError(
                    f"{name} and {next(iter(self.members))} want their pictures made ready in different ways: ask them "
                    "one at a time."
                )
            if trained.class_names != self.class_names:
                raise UsageError(
                    f"{name} has the classes {join_names(trained.class_names)} and {next(iter(self.members))} "
                    f"{join_names(self.class_names)}: only networks with the same classes can form a committee."
                )

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Predictions:
        """Return the calibrated class probabilities of every member for images ``(B, 1, 28, 28)`` in [0, 1]."""
        chunks = images.split(CHUNK_SIZE)
        probabilities = [
            torch.cat([member.probabilities(chunk) for chunk in chunks]) for member in self.members.values()
        ]
        return Predictions(torch.stack(probabilities))
