from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from zoo import MNISTDataModule
from zoo.models import Classifier
from zoo.pretrained.evaluation import evaluate, golden_images


class PixelClassifier(Classifier):
    """A classifier whose predicted probabilities are the first ten pixels of the image."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :10].log()


def batches(probabilities: list[float], correct: list[bool]) -> DataLoader[tuple[Tensor, ...]]:
    """Return images that are predicted as class 0 with these probabilities, with label 0 (correct) or 1."""
    images = torch.zeros(len(probabilities), 1, 28, 28)
    for image, p in zip(images, probabilities, strict=True):
        image[0, 0, :10] = (1 - p) / 9
        image[0, 0, 0] = p
    labels = torch.tensor([0 if is_correct else 1 for is_correct in correct])
    return DataLoader(TensorDataset(images, labels), batch_size=3)


def test_metrics_equal_their_definitions() -> None:
    # Two bins are used: four images at 0.9, of which three are correct, and one incorrect image at 0.5.
    found = evaluate(PixelClassifier(), batches([0.9, 0.9, 0.9, 0.9, 0.5], [True, True, True, False, False]))
    assert (found.images, found.errors) == (5, 2)
    assert found.accuracy == pytest.approx(0.6)
    assert found.calibration_error == pytest.approx(4 / 5 * abs(0.9 - 0.75) + 1 / 5 * 0.5)
    likelihoods = torch.tensor([0.9, 0.9, 0.9, 0.1 / 9, 0.5 / 9]).log()
    assert found.nll == pytest.approx(-float(likelihoods.mean()))


def test_a_calibrated_network_has_no_calibration_error() -> None:
    found = evaluate(PixelClassifier(), batches([0.75] * 4, [True, True, True, False]))
    assert found.calibration_error == pytest.approx(0, abs=1e-6)


def test_the_golden_images_are_the_first_of_each_digit() -> None:
    data = MNISTDataModule()
    data.setup("test")
    images, labels = next(iter(data.test_dataloader()))
    first = [int((labels == digit).nonzero()[0]) for digit in range(10)]
    assert torch.equal(golden_images(data), images[first])
