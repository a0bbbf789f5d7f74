"""What the page asks: every network's answer to a picture, and how long each took."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data import MNISTDataModule
from zoo.data.preprocessing import preprocess, read_digit
from zoo.inference.ensemble import Answers
from zoo.models import Classifier
from zoo.pretrained.loading import load_classifier
from zoo.pretrained.registry import list_models, model_info


class Predictor:
    """Trained networks that are asked about one picture at a time.

    Args:
        names: Members; none means all that ship trained.

    Raises:
        UsageError: One is unknown or ships no trained network.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = list(dict.fromkeys(names or list_models(pretrained=True)))
        self.networks: dict[str, Classifier] = {name: load_classifier(name).model for name in self.names}
        data = MNISTDataModule()
        data.prepare_data()
        data.setup("test")
        self._test = data.splits["test"]
        # The first answer of all takes longest: it is given to nobody.
        self.ask(preprocess(np.eye(28)), self.names)

    def members(self) -> list[dict[str, Any]]:
        """Return what is told of each network: its name, what it is, and its errors on the test images."""
        found = []
        for name in self.names:
            info = model_info(name)
            errors = info.figures["test_errors"] if info.figures else None
            found.append({"name": name, "description": info.description, "test_errors": errors})
        return found

    def look(self, content: bytes) -> tuple[Tensor, list[str]]:
        """Return a picture as the networks see it, ``(1, 28, 28)``, and what was odd about it.

        Raises:
            UsageError: It is no picture, or too large, or nothing stands out in it.
        """
        digit = read_digit(content)
        return digit.pixels, list(digit.notes)

    @torch.inference_mode()
    def ask(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """Return the networks' answers to an image ``(1, 28, 28)`` in [0, 1].

        Returns:
            ``answer`` and ``probabilities`` of the committee, by mean probability; ``votes`` for each digit; and, by
            name, each network's ``answer``, ``probabilities`` and ``milliseconds``.
        """
        probabilities, milliseconds = [], []
        for name in names:
            started = time.perf_counter()
            probabilities.append(self.networks[name](pixels.unsqueeze(0)).softmax(dim=1))
            milliseconds.append(1000 * (time.perf_counter() - started))
        answers = Answers(torch.stack(probabilities))
        return {
            **_told(answers.mean[0]),
            "votes": answers.votes[0].tolist(),
            "members": {
                name: {**_told(each[0]), "milliseconds": round(took, 2)}
                for name, each, took in zip(names, probabilities, milliseconds, strict=True)
            },
        }

    def test_image(self, row: int) -> tuple[Tensor, int]:
        """Return an official test image ``(1, 28, 28)`` in [0, 1] and its label."""
        images, labels, *_ = self._test.__getitems__([row])
        return images[0], int(labels[0])

    @property
    def test_images(self) -> int:
        """How many there are."""
        return len(self._test)


def _told(probabilities: Tensor) -> dict[str, Any]:
    return {
        "answer": int(probabilities.argmax()),
        "probabilities": [round(value, 4) for value in probabilities.tolist()],
    }
