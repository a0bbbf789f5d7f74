from __future__ import annotations

import math

import pytest
import torch

from zoo.metrics.calibration import (
    expected_calibration_error,
    fit_temperature,
    rounding_of_calibration_error,
)


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


def test_an_image_at_the_end_of_a_bin_may_fall_into_the_next() -> None:
    labels = torch.tensor([0, 1, 0])
    below, above = (two_classes([0.75 + step, 0.7, 0.9]) for step in (-1e-6, 1e-6))
    change = expected_calibration_error(above, labels, 4) - expected_calibration_error(below, labels, 4)
    # The image that is right with 0.75 no longer makes up for the one that is wrong with 0.7.
    assert change == pytest.approx(2 * 0.25 / 3, abs=1e-5)
    assert rounding_of_calibration_error(below, labels, 1e-4, 4) == pytest.approx(1e-4 + 2 * 0.25 / 3, abs=1e-5)
    assert rounding_of_calibration_error(two_classes([0.8, 0.7, 0.9]), labels, 1e-4, 4) == pytest.approx(1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_rounding_changes_the_calibration_error_by_no_more_than_is_said(seed: int) -> None:
    draw = torch.Generator().manual_seed(seed)
    confidence = 0.5 + 0.499 * torch.rand(2000, dtype=torch.float64, generator=draw)
    labels = (torch.rand(2000, generator=draw) > 0.8).long()
    moved = confidence + 1e-3 * (2 * torch.rand(2000, dtype=torch.float64, generator=draw) - 1)
    before, after = (expected_calibration_error(two_classes(each.tolist()), labels) for each in (confidence, moved))
    bound = rounding_of_calibration_error(two_classes(confidence.tolist()), labels, 1e-3)
    assert abs(after - before) <= bound < 0.05


@pytest.mark.parametrize(("logit", "share"), [(8.0, 0.75), (0.5, 0.9), (3.0, 0.6)])
def test_the_temperature_makes_the_probability_the_share_that_is_right(logit: float, share: float) -> None:
    """Where all images have the same logits (a, 0), the least likelihood is at a / T = log(q / (1 − q))."""
    labels = (torch.arange(100) >= 100 * share).long()
    logits = torch.tensor([[logit, 0.0]]).expand(100, 2)
    assert fit_temperature(logits, labels) == pytest.approx(logit / math.log(share / (1 - share)), rel=1e-4)
