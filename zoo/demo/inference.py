"""Predictions of every network for one picture, with inference times."""

from __future__ import annotations

import base64
import io
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from zoo.data import MNISTDataModule
from zoo.data.preprocessing import Digit, preprocess, read_digit
from zoo.demo.dreams import Dreamer
from zoo.demo.duel import Duel
from zoo.demo.members import describe, in_lecture_order
from zoo.demo.own_runs import OwnRun, describe_own
from zoo.inference.digit_check import DigitCheck, covers
from zoo.inference.ensemble import Predictions
from zoo.pretrained.loading import load_classifier
from zoo.pretrained.registry import list_models
from zoo.pretrained.trained_classifier import TrainedClassifier


class Predictor:
    """Classifies one picture at a time with several trained networks.

    Args:
        names: Names of members. By default, all pretrained members. They are kept in the order of the lecture.
        own: Networks of the user's own, which come first.

    Raises:
        UsageError: A member is unknown or is not pretrained, or the classes of a network are not the ten digits.
    """

    def __init__(self, names: Sequence[str] = (), own: Mapping[str, OwnRun] | None = None) -> None:
        members = in_lecture_order(dict.fromkeys(names or list_models(pretrained=True)))
        self._own = dict(own or {})
        self.networks: dict[str, TrainedClassifier] = {
            **{name: run.trained for name, run in self._own.items()},
            **{name: load_classifier(name) for name in members},
        }
        self.names = list(self.networks)
        self._members = members
        self._check = DigitCheck() if covers(members) else None
        data = MNISTDataModule()
        data.prepare_data()
        data.setup("test")
        self._test = data.splits["test"]
        self.duel = Duel(self.networks, self._test)
        self.dreamer = Dreamer()
        # Warm up: the first forward pass is the slowest.
        self.predict(preprocess(np.eye(28)), self.names)

    def describe_members(self) -> list[dict[str, Any]]:
        """Return what is known about each network, see `zoo.demo.members.describe`."""
        own = [describe_own(name, run) for name, run in self._own.items()]
        return own + [describe(name) for name in self._members]

    def read_picture(self, content: bytes, with_steps: bool = False) -> Digit:
        """Preprocess an encoded picture.

        Args:
            content: Content of an image file.
            with_steps: Whether to return images of the steps too.

        Raises:
            UsageError: The content is no picture, is too large, or shows nothing that stands out.
        """
        return read_digit(content, with_steps=with_steps)

    @torch.inference_mode()
    def predict(self, pixels: Tensor, names: Sequence[str]) -> dict[str, Any]:
        """Return the networks' predictions for an image.

        Args:
            pixels: The image, ``(1, 28, 28)`` in [0, 1].
            names: Names of the networks.

        Returns:
            ``answer`` and ``probabilities`` of the committee, by mean probability; ``votes``, the number of networks
            that predict each digit; ``members``, each network's ``answer``, ``probabilities`` and ``milliseconds`` by
            name; and ``no_digit``, the score that says how little it looks like a digit, or None unless all members
            that ship are asked.
        """
        probabilities, milliseconds = [], []
        for name in names:
            started = time.perf_counter()
            probabilities.append(self.networks[name].probabilities(pixels.unsqueeze(0)))
            milliseconds.append(1000 * (time.perf_counter() - started))
        predictions = Predictions(torch.stack(probabilities))
        no_digit = None
        if self._check is not None and set(names).issuperset(self._members):
            places = [place for place, name in enumerate(names) if name not in self._own]
            no_digit = self._check(pixels.unsqueeze(0), predictions.probabilities[places]).as_json(0)
        return {
            **_as_json(predictions.mean[0]),
            "votes": predictions.votes[0].tolist(),
            "no_digit": no_digit,
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


def steps_as_json(digit: Digit) -> list[dict[str, str]]:
    """Return the name and the image, as a ``data:`` URL, of each step from a picture to the network input."""
    steps = []
    for name, levels in digit.steps:
        file = io.BytesIO()
        Image.fromarray(levels).save(file, format="PNG")
        steps.append({"name": name, "image": "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()})
    return steps


def _as_json(probabilities: Tensor) -> dict[str, Any]:
    return {
        "answer": int(probabilities.argmax()),
        "probabilities": [round(value, 4) for value in probabilities.tolist()],
    }
