"""Checkpoints of the user's own beside the members."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.data.base import DIGITS
from zoo.pretrained.loading import load_classifier
from zoo.pretrained.sources import name_of_checkpoint, on_hub
from zoo.pretrained.trained_classifier import TrainedClassifier
from zoo.utils.checks import join_names
from zoo.utils.errors import UsageError
from zoo.utils.files import display_path


@dataclass(frozen=True)
class OwnRun:
    """A network of the user's own and the file that it is from."""

    path: Path
    trained: TrainedClassifier


def load_own(paths: Iterable[str], taken: Iterable[str]) -> dict[str, OwnRun]:
    """Load checkpoints, and give each a short name.

    Args:
        paths: Files of classifiers of digits, or addresses of such on the hub.
        taken: Names that are in use already.

    Raises:
        UsageError: A file is missing or no such classifier.
    """
    found: dict[str, OwnRun] = {}
    for word in dict.fromkeys(paths):
        path = Path(word)
        shown = display_path(path)
        if not on_hub(word) and not path.is_file():
            raise UsageError(f"There is no file {shown}: name a checkpoint after --model.")
        trained = load_classifier(word if on_hub(word) else str(path.absolute()))
        instead = f"use `zoo classify --model {shown}`"
        if trained.class_names != DIGITS:
            names = join_names(trained.class_names)
            raise UsageError(f"{shown} tells {names} apart, and the page is for digits: {instead}.")
        if not trained.mnist_like:
            raise UsageError(f"{shown} was not trained on images like MNIST's, as drawings are made here: {instead}.")
        found[_short_name(path, {*taken, *found})] = OwnRun(path, trained)
    return found


def describe_own(name: str, run: OwnRun) -> dict[str, Any]:
    """Return what the card of an own run says, as `zoo.demo.members.describe` does for a member."""
    model, shown = run.trained.model, display_path(run.path)
    return {
        "name": name,
        "description": f"{type(model).__name__}, {shown}",
        "own": True,
        "slide": None,
        "test_errors": None,
        "lecture_accuracy": None,
        "parameters": model.trained_parameters(),
        "papers": [],
        "commands": [f"zoo classify --model {shown}", f"zoo figures layers --model {shown}"],
    }


def _short_name(path: Path, taken: set[str]) -> str:
    """Return a name that is not taken. It has no comma, because commas separate the names in requests."""
    name = name_of_checkpoint(path).replace(",", "_")
    numbered = (name if count == 1 else f"{name} ({count})" for count in range(1, len(taken) + 2))
    return next(each for each in numbered if each not in taken)
