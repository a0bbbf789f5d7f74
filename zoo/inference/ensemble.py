"""The committee: an ensemble of trained networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn

from zoo.metrics.ensemble import count_votes, log_mean_probability, majority_vote
from zoo.models import Classifier
from zoo.models.checkpointed import checked_path
from zoo.pretrained.loading import load_classifier
from zoo.pretrained.registry import list_models
from zoo.pretrained.trained_classifier import TrainedClassifier
from zoo.runs.checkpoint import check_class, read_checkpoint
from zoo.utils.checks import join_names
from zoo.utils.class_paths import class_path_of
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


class Committee(Classifier):
    """An ensemble of trained networks, itself a classifier that is not trained.

    Its probabilities are the mean of the members' calibrated probabilities. It stores the members' names, not their
    weights.

    Args:
        members: Members that ship trained, or paths of checkpoints. If empty, all members that ship trained.

    Raises:
        UsageError: A name is unknown or given twice, or a member ships no trained network or is not a classifier, or
            the networks differ in their classes or in their preprocessing.
    """

    def __init__(self, members: Sequence[str] = ()) -> None:
        trained = _load_members(members or list_models(pretrained=True))
        first = next(iter(trained.values()))
        super().__init__(num_classes=len(first.class_names))
        self.save_hyperparameters({"members": list(trained)})
        self.members = trained
        self.class_names = first.class_names
        self.mnist_like = first.mnist_like
        self.networks = nn.ModuleList(member.model for member in trained.values())
        self.requires_grad_(False).eval()

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, C)``: the log of the mean calibrated probability."""
        return log_mean_probability(torch.stack([member.logits(images) for member in self.members.values()]))

    @torch.inference_mode()
    def predict(self, images: Tensor) -> Predictions:
        """Return the calibrated class probabilities of every member for images ``(B, 1, 28, 28)`` in [0, 1]."""
        chunks = images.split(CHUNK_SIZE)
        probabilities = [
            torch.cat([member.probabilities(chunk) for chunk in chunks]) for member in self.members.values()
        ]
        return Predictions(torch.stack(probabilities))

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the concatenated features of all members, ``(B, F)``, for images ``(B, 1, 28, 28)``."""
        return torch.cat([member.model.forward_features(images) for member in self.members.values()], dim=1)

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode, whatever the mode is."""
        return super().train(False)

    def configure_optimizers(self) -> Any:
        """Refuse to be trained.

        Raises:
            UsageError: Always.
        """
        raise UsageError("A committee is not trained: train its members, and name their checkpoints.")

    def reset_classifier(self, num_classes: int) -> None:
        """Refuse to be changed.

        Raises:
            UsageError: Always.
        """
        raise UsageError("A committee has no output layer of its own: change its members.")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the members' names without their weights."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["state_dict"] = {}

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: Any,
        map_location: Any = "cpu",
        hparams_file: None = None,
        strict: bool = True,
        weights_only: bool = True,
        **arguments: Any,
    ) -> Self:
        """Return the committee whose members a checkpoint names; their networks are loaded from where they are.

        Args:
            checkpoint_path: The file.
            map_location: The device for the committee.
            hparams_file: Not used: the members' names are in the checkpoint.
            strict: Only True is accepted.
            weights_only: Only True is accepted.
            **arguments: ``members``, to replace the checkpoint's.

        Raises:
            UsageError: The file is no checkpoint of a committee, or a member cannot be loaded.
        """
        checkpoint = read_checkpoint(checked_path(checkpoint_path, hparams_file, strict, weights_only))
        check_class(checkpoint, (class_path_of(cls),), "committee")
        return cls(**{"members": checkpoint.arguments.get("members", ()), **arguments}).to(map_location)


def _load_members(names: Sequence[str]) -> dict[str, TrainedClassifier]:
    members: dict[str, TrainedClassifier] = {}
    for name in names:
        if name in members:
            raise UsageError(f"{name} is named twice: name each member of a committee once.")
        members[name] = trained = load_classifier(name)
        first_name, first = next(iter(members.items()))
        if trained.mnist_like != first.mnist_like:
            raise UsageError(
                f"{name} and {first_name} want their pictures made ready in different ways: ask them one at a time."
            )
        if trained.class_names != first.class_names:
            raise UsageError(
                f"{name} has the classes {join_names(trained.class_names)} and {first_name} "
                f"{join_names(first.class_names)}: only networks with the same classes can form a committee."
            )
    return members
