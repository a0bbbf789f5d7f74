"""Evaluation of a trained network, used for both publishing and verification."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader

from zoo.data import MNISTDataModule
from zoo.data.batches import Batch
from zoo.metrics.calibration import expected_calibration_error, fit_temperature
from zoo.models import Classifier

GOLDEN_ROWS = (3, 2, 1, 18, 4, 8, 11, 0, 61, 7)
"""The row in the archive of the first test image of each digit, 0 to 9."""


@dataclass(frozen=True)
class Evaluation:
    """The metrics of a network on a set of images."""

    images: int
    errors: int
    nll: float
    """The mean negative log-likelihood of the true class, in nats."""
    calibration_error: float
    """The expected calibration error with 15 bins (`expected_calibration_error`)."""

    @property
    def accuracy(self) -> float:
        """The fraction of the images that are classified correctly."""
        return 1 - self.errors / self.images


@dataclass(frozen=True)
class Calibration:
    """The temperature of a network's calibrated probabilities, and how well they agree with its accuracy."""

    temperature: float
    """What the logits are divided by, fitted on the validation images (`fit_temperature`); 1 without any."""
    error: float
    """The expected calibration error on the test images, with that temperature."""


def evaluate(model: Classifier, batches: DataLoader[Batch]) -> Evaluation:
    """Evaluate ``model`` in eval mode on all batches ``(images, labels, …)``."""
    return evaluation_of(*logits_and_labels(model, batches))


def logits_and_labels(model: Classifier, batches: DataLoader[Batch]) -> tuple[Tensor, Tensor]:
    """Return the logits ``(N, classes)`` and the labels ``(N,)`` of all batches, in eval mode."""
    model.eval()
    with torch.inference_mode():
        outputs = [(model(images), labels) for images, labels, *_ in batches]
    logits, labels = (torch.cat(column) for column in zip(*outputs, strict=True))
    return logits, labels


def calibrate(validation: tuple[Tensor, Tensor] | None, test: tuple[Tensor, Tensor]) -> Calibration:
    """Fit a temperature on the validation images, and measure it on the test images.

    Args:
        validation: Logits and labels, as `logits_and_labels` returns them; None without validation images.
        test: The same of the test images.
    """
    temperature = 1.0 if validation is None else fit_temperature(*validation)
    logits, labels = test
    return Calibration(temperature, expected_calibration_error((logits.double() / temperature).softmax(dim=1), labels))


def evaluation_of(logits: Tensor, labels: Tensor) -> Evaluation:
    """Return the metrics of logits ``(N, classes)`` for images with labels ``(N,)``."""
    return Evaluation(
        images=len(labels),
        errors=int((logits.argmax(dim=1) != labels).sum()),
        nll=float(F.cross_entropy(logits.double(), labels)),
        calibration_error=expected_calibration_error(logits.double().softmax(dim=1), labels),
    )


def golden_logits(model: Classifier, data: MNISTDataModule) -> Tensor:
    """Return the logits ``(10, 10)`` of the first test image of each digit."""
    model.eval()
    with torch.inference_mode():
        logits: Tensor = model(golden_images(data))
    return logits


def golden_images(data: MNISTDataModule) -> Tensor:
    """Return the first test image of each digit, float32 ``(10, 1, 28, 28)``."""
    (images, *_) = data.test_dataloader().dataset.get_batch(GOLDEN_ROWS)  # type: ignore[attr-defined]
    return torch.as_tensor(images)


def images_per_second(model: Classifier, data: MNISTDataModule, passes: int = 5) -> float:
    """Measure how many test images the network classifies per second.

    Args:
        model: The network.
        data: The data with the test images.
        passes: The number of timed passes over the test images, after one warm-up pass. Their median is used.
    """
    seconds = []
    for _ in range(passes + 1):
        started = time.perf_counter()
        images = evaluate(model, data.test_dataloader()).images
        seconds.append(time.perf_counter() - started)
    return images / statistics.median(seconds[1:])
