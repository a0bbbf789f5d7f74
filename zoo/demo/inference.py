"""Predictions of every network for one picture, with inference times."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.data import MNISTDataModule
from zoo.data.preprocessing import preprocess, read_digit
from zoo.inference.ensemble import Predictions
from zoo.pretrained.loading import TrainedClassifier, load_classifier
from zoo.pretrained.registry import list_models, model_info


class Predictor:
    """Classifies one picture at a time with several trained networks.

    Args:
        names: Names of members. By default, all pretrained members.

    Raises:
        UsageError: A member is unknown or is not pretrained.
    """

    def __init__(self, names: Sequence[str] = ()) -> None:
        self.names = list(dict.fromkeys(names or list_models(pretrained=True)))
        self.networks: dict[str, TrainedClassifier] = {name: load_classifier(name) for name in self.names}
        data = MNISTDataModule()
        data.prepare_data()
        data.setup("test")
        self._test = data.splits["test"]
        # Warm up: the first forward pass is the slowest.
        self.predict(preprocess(np.eye(28)), self.names)

    def describe_members(self) -> list[dict[str, Any]]:
        """Return the name, description and number of test errors of each network."""
        descriptions = []
        for name in self.names:
            info = model_info(name)
            errors = info.metrics["test_errors"] if info.metrics else None
            descriptions.append({"name": name, "description": info.description, "test_errors": errors})
        return descriptions

    def read_picture(self, content: bytes) -> tuple[Tensor, list[str]]:
        """Preprocess an encoded picture.

        Args:
            content: Content of an image file.

        Returns:
            The network input, ``(1, 28, 28)`` in [0, 1], and notes on anything unusual in the picture.

        Raises:
            UsageError: The content is no picture, is too large, or shows nothing that stands out.
        """
        digit = read_digit(content)
        return digit.pixels, list(digit.notes)

    @torch.inference_mode()
    def predict(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """Return the networks' predictions for an image.

        Args:
            pixels: The image, ``(1, 28, 28)`` in [0, 1].
            names: Names of the networks.

        Returns:
            ``answer`` and ``probabilities`` of the committee, by mean probability; ``votes``, the number of networks
            that predict each digit; and ``members``, each network's ``answer``, ``probabilities`` and ``milliseconds``
            by name.
        """
        probabilities, milliseconds = [], []
        for name in names:
            started = time.perf_counter()
            probabilities.append(self.networks[name].probabilities(pixels.unsqueeze(0)))
            milliseconds.append(1000 * (time.perf_counter() - started))
        predictions = Predictions(torch.stack(probabilities))
        return {
            **_as_json(predictions.mean[0]),
            "votes": predictions.votes[0].tolist(),
            "members": {
                name: {**_as_json(output[0]), "milliseconds": round(elapsed, 2)}
                for name, output, elapsed in zip(names, probabilities, milliseconds, strict=True)
            },
        }

    def test_image(self, row: int) -> tuple[Tensor, int]:
        """Return an official test image ``(1, 28, 28)`` in [0, 1] and its label."""
        images, labels, *_ = self._test.get_batch([row])
        return images[0], int(labels[0])

    @property
    def num_test_images(self) -> int:
        """Number of official test images."""
        return len(self._test)


def _as_json(probabilities: Tensor) -> dict[str, Any]:
    return {
        "answer": int(probabilities.argmax()),
        "probabilities": [round(value, 4) for value in probabilities.tolist()],
    }
