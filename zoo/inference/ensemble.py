"""Several trained networks that answer together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.metrics.ensemble import elected, votes_of
from zoo.models import Classifier
from zoo.pretrained.loading import load_classifier
from zoo.pretrained.registry import list_models
from zoo.utils.checks import listed
from zoo.utils.errors import UsageError

CHUNK = 1000
"""Images at a time."""


@dataclass(frozen=True)
class Answers:
    """What a committee says of some images.

    Args:
        probabilities: Of each member, ``(K, B, C)``.
    """

    probabilities: Tensor

    @property
    def mean(self) -> Tensor:
        """The mean probability of each class, ``(B, C)``."""
        return self.probabilities.mean(dim=0)

    @property
    def votes(self) -> Tensor:
        """How many members are for each class, int64 ``(B, C)``."""
        return votes_of(self.probabilities.argmax(dim=2), self.probabilities.shape[2])

    @property
    def elected(self) -> Tensor:
        """The class with most votes, ``(B,)``; among equals, the one with the higher mean probability."""
        return elected(self.votes, self.probabilities)


class Committee:
    """Trained networks by name.

    Args:
        names: Members that ship trained, or paths of checkpoints; none means all that ship.

    Raises:
        UsageError: One is unknown, ships no trained network, or is no classifier; or they want other
            classes or pictures than each other.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self.members: dict[str, Classifier] = {}
        self.class_names: tuple[str, ...] = ()
        self.mnist_like = True
        for name in names or list_models(pretrained=True):
            trained = load_classifier(name)
            self.members[name] = trained.model
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
                    f"{name} tells {listed(trained.class_names)} apart and {next(iter(self.members))} "
                    f"{listed(self.class_names)}: only networks of the same classes can answer together."
                )

    @torch.inference_mode()
    def ask(self, images: Tensor) -> Answers:
        """Return every member's answer to images ``(B, 1, 28, 28)`` in [0, 1]."""
        chunks = images.split(CHUNK)
        answers = [torch.cat([model(chunk).softmax(dim=1) for chunk in chunks]) for model in self.members.values()]
        return Answers(torch.stack(answers))
