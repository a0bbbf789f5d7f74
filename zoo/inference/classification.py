"""Classification of pictures by several trained networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from zoo.data.base import DIGITS
from zoo.data.preprocessing import Digit, read_digit, resize
from zoo.inference.digit_check import DigitCheck, covers
from zoo.inference.ensemble import Committee


@dataclass(frozen=True)
class Classification:
    """The predictions of all members for one picture."""

    path: Path
    """The file, or what stands for a picture that is in memory."""
    digit: Digit
    probabilities: Tensor
    """Class probabilities predicted by each of K members, ``(K, C)``."""
    mean: Tensor
    """Mean of the members' probabilities, ``(C,)``."""
    votes: Tensor
    """Number of members that predict each class, ``(C,)``."""
    class_names: Sequence[str]
    no_digit: dict[str, Any] | None
    """The score that says how little it looks like a digit; None unless all members that ship are asked."""

    def notes(self) -> list[str]:
        """Return the notes on the picture, and what follows from its score."""
        notes = list(self.digit.notes)
        if self.no_digit and self.no_digit["probably"]:
            notes.append(
                "Probably no digit: its score is {score:.1f}, and 99 of 100 digits have at most {limit:.1f}.".format(
                    **self.no_digit
                )
            )
        return notes


class Classifiers:
    """Trained networks that classify pictures.

    Args:
        names: Members that ship trained, or paths of checkpoints. If empty, all members that ship trained.

    Raises:
        UsageError: As for `Committee`.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.committee = Committee(names)
        self._check = DigitCheck() if self.committee.mnist_like and covers(list(self.committee.members)) else None

    def read(self, picture: Any, *, center: bool = True, with_steps: bool = False) -> Digit:
        """Read a picture as the networks need it.

        Args:
            picture: A file's path or content, a `PIL.Image.Image`, an array or a tensor.
            center: Whether to put the center of mass into the middle.
            with_steps: Whether to keep images of the steps too.

        Raises:
            UsageError: It is no picture, is too large, or shows nothing that stands out.
        """
        if not self.committee.mnist_like:
            return Digit(resize(picture))
        are_digits = tuple(self.committee.class_names) == DIGITS
        return read_digit(picture, center=center, with_steps=with_steps, remove_frames=are_digits)

    def __call__(self, pictures: Sequence[tuple[Path, Digit]]) -> Iterator[Classification]:
        """Yield the predictions for pictures, one or more."""
        images = torch.stack([digit.pixels for _, digit in pictures])
        predictions = self.committee.predict(images)
        verdict = self._check(images, predictions.probabilities) if self._check else None
        by_picture = zip(predictions.probabilities.unbind(dim=1), predictions.mean, predictions.votes, strict=True)
        for position, ((path, digit), (probabilities, mean, votes)) in enumerate(
            zip(pictures, by_picture, strict=True)
        ):
            no_digit = verdict.as_json(position) if verdict else None
            yield Classification(path, digit, probabilities, mean, votes, self.committee.class_names, no_digit)
