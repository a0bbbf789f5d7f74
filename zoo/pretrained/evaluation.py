"""Measuring a trained network, the same way when it is published and when anyone verifies it."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import DataLoader
from torchmetrics.functional.classification import multiclass_calibration_error

from zoo.data import MNISTDataModule
from zoo.data.batches import Batch
from zoo.metrics.classification import CALIBRATION_BINS
from zoo.models import Classifier

GOLDEN_ROWS = (3, 2, 1, 18, 4, 8, 11, 0, 61, 7)
"""The first test image of each digit 0 to 9, by its row in the archive."""


@dataclass(frozen=True)
class Evaluation:
    """What a network does on a set of images."""

    images: int
    errors: int
    nll: float
    """Mean negative log-likelihood of the right class, in nats."""
    calibration_error: float
    """Expected calibration error: the images are put into 15 equal bins by the probability of the predicted class,
    and the distances between each bin's mean probability and its accuracy are averaged, weighted by the bin's share of
    the images. Naeini, Cooper and Hauskrecht, AAAI 2015; Guo et al., "On calibration of modern neural networks",
    ICML 2017, equation 3."""

    @property
    def accuracy(self) -> float:
        """The fraction that is right."""
        return 1 - self.errors / self.images


def evaluate(model: Classifier, batches: DataLoader[Batch]) -> Evaluation:
    """Measure ``model``, in eval mode, on all batches ``(images, labels, …)``."""
    model.eval()
    with torch.inference_mode():
        parts = [(model(images), labels) for images, labels, *_ in batches]
    logits, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    return Evaluation(
        images=len(labels),
        errors=int((logits.argmax(dim=1) != labels).sum()),
        nll=float(F.cross_entropy(logits.double(), labels)),
        calibration_error=float(
            multiclass_calibration_error(
                logits.softmax(dim=1), labels, num_classes=logits.shape[1], n_bins=CALIBRATION_BINS, norm="l1"
            )
        ),
    )


def golden_logits(model: Classifier, data: MNISTDataModule) -> Tensor:
    """Return the logits ``(10, 10)`` of the first test image of each digit."""
    model.eval()
    with torch.inference_mode():
        logits: Tensor = model(golden_images(data))
    return logits


def golden_images(data: MNISTDataModule) -> Tensor:
    """Return the first test image of each digit, float32 ``(10, 1, 28, 28)``."""
    (images, *_) = data.test_dataloader().dataset.__getitems__(GOLDEN_ROWS)  # type: ignore[attr-defined]
    return torch.as_tensor(images)


def images_per_second(model: Classifier, data: MNISTDataModule, passes: int = 5) -> float:
    """Return how many test images a second the network classifies: the median of some passes after a first one."""
    seconds = []
    for _ in range(passes + 1):
        started = time.perf_counter()
        images = evaluate(model, data.test_dataloader()).images
        seconds.append(time.perf_counter() - started)
    return images / statistics.median(seconds[1:])
