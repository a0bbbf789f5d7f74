from __future__ import annotations

import math

import pytest
import torch

from zoo.metrics.calibration import expected_calibration_error, fit_temperature


def two_classes(confidence: list[float]) -> torch.Tensor:
    """Return probabilities of images that are predicted as class 0."""
    return torch.tensor([[p, 1 - p] for p in confidence], dtype=torch.float64)


@pytest.mark.parametrize(
    ("confidence", "right", "bins", "error"),
    [
        ([0.9] * 4, [1, 1, 1, 0], 15, 0.15),
        ([1.0, 1.0], [1, 0], 15, 0.5),  # the last bin includes its upper end
        ([0.75, 0.70], [1, 0], 4, abs(1 - 0.725 - 0.5)),  # 0.75 is the end of the bin of 0.7
        ([0.75, 0.76], [1, 0], 4, (0.25 + 0.76) / 2),
        ([0.6, 0.9], [1, 1], 2, 0.25),
    ],
)
def test_the_calibration_error_is_that_of_its_definition(
    confidence: list[float], right: list[int], bins: int, error: float
) -> None:
    labels = torch.tensor([1 - each for each in right])
    assert expected_calibration_error(two_classes(confidence), labels, bins) == pytest.approx(error, abs=1e-12)


@pytest.mark.parametrize(("logit", "share"), [(8.0, 0.75), (0.5, 0.9), (3.0, 0.6)])
def test_the_temperature_makes_the_probability_the_share_that_is_right(logit: float, share: float) -> None:
    """Where all images have the same logits (a, 0), the least likelihood is at a / T = log(q / (1 − q))."""
    labels = (torch.arange(100) >= 100 * share).long()
    logits = torch.tensor([[logit, 0.0]]).expand(100, 2)
    assert fit_temperature(logits, labels) == pytest.approx(logit / math.log(share / (1 - share)), rel=1e-4)
