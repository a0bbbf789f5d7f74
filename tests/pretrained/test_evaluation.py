from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from zoo import MNISTDataModule
from zoo.models import Classifier
from zoo.pretrained.evaluation import evaluate, golden_images


class Told(Classifier):
    """A classifier that is told its probabilities: they are the image's first ten pixels."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, 0, 0, :10].log()


def batches(probability: list[float], right: list[bool]) -> DataLoader[tuple[Tensor, ...]]:
    """Images of class 0 with this probability, and the label 0 or another."""
    images = torch.zeros(len(probability), 1, 28, 28)
    for image, p in zip(images, probability, strict=True):
        image[0, 0, :10] = (1 - p) / 9
        image[0, 0, 0] = p
    labels = torch.tensor([0 if is_right else 1 for is_right in right])
    return DataLoader(TensorDataset(images, labels), batch_size=3)


def test_figures_are_their_definitions() -> None:
    # Two bins are used: four images at 0.9 of which three are right, and one at 0.5 that is wrong.
    found = evaluate(Told(), batches([0.9, 0.9, 0.9, 0.9, 0.5], [True, True, True, False, False]))
    assert (found.images, found.errors) == (5, 2)
    assert found.accuracy == pytest.approx(0.6)
    assert found.calibration_error == pytest.approx(4 / 5 * abs(0.9 - 0.75) + 1 / 5 * 0.5)
    likelihoods = torch.tensor([0.9, 0.9, 0.9, 0.1 / 9, 0.5 / 9]).log()
    assert found.nll == pytest.approx(-float(likelihoods.mean()))


def test_a_calibrated_network_has_no_calibration_error() -> None:
    found = evaluate(Told(), batches([0.75] * 4, [True, True, True, False]))
    assert found.calibration_error == pytest.approx(0, abs=1e-6)


def test_the_golden_images_are_the_first_of_each_digit(data_dir: None) -> None:
    data = MNISTDataModule()
    data.setup("test")
    images, labels = next(iter(data.test_dataloader()))
    first = [int((labels == digit).nonzero()[0]) for digit in range(10)]
    assert torch.equal(golden_images(data), images[first])
