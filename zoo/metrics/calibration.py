"""How well predicted probabilities agree with how often they are right, and a temperature that mends them."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

CALIBRATION_BINS = 15
"""The number of bins of the expected calibration error."""


def expected_calibration_error(probabilities: Tensor, labels: Tensor, bins: int = CALIBRATION_BINS) -> float:
    """Return the expected calibration error with bins of equal width.

    The images are binned by the probability of the predicted class, each bin with its upper end. The error is the mean
    over the bins of the absolute difference between accuracy and mean probability, weighted by the number of images in
    the bin. Naeini, Cooper and Hauskrecht, AAAI 2015; Guo et al., "On calibration of modern neural networks", ICML
    2017, equation 3. In double precision: torchmetrics sums in single precision, which differs in the fifth digit.

    Args:
        probabilities: The predicted probabilities, ``(B, classes)`` in [0, 1].
        labels: The true classes, int64 ``(B,)``.
        bins: The number of bins.
    """
    confidence, excess = _excess(probabilities, labels)
    boundaries = _boundaries(bins, confidence)
    sums = torch.zeros(bins, dtype=torch.float64, device=confidence.device)
    sums.index_add_(0, torch.bucketize(confidence, boundaries), excess)
    return float(sums.abs().sum() / len(labels))


def rounding_of_calibration_error(
    probabilities: Tensor, labels: Tensor, margin: float, bins: int = CALIBRATION_BINS
) -> float:
    """Return by how much rounding may change the expected calibration error of the same network.

    The error is not continuous: an image whose probability is close to the end of a bin may fall into the next bin on
    another processor. That changes the sums of two bins.

    Args:
        probabilities: As for `expected_calibration_error`.
        labels: As for `expected_calibration_error`.
        margin: The largest change of a probability, more than 0.
        bins: The number of bins.
    """
    confidence, excess = _excess(probabilities, labels)
    distance = (confidence.unsqueeze(1) - _boundaries(bins, confidence)).abs().amin(dim=1)
    return margin + 2 * float(excess[distance <= margin].abs().sum()) / len(labels)


def _excess(probabilities: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the probability of each predicted class, and how much more right the prediction was than this."""
    confidence, predictions = probabilities.double().max(dim=1)
    return confidence, (predictions == labels).double() - confidence


def _boundaries(bins: int, like: Tensor) -> Tensor:
    return torch.linspace(0, 1, bins + 1, dtype=torch.float64, device=like.device)[1:-1]


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature T by which logits are divided for the least negative log-likelihood.

    The prediction stays the same, and so do the errors. Guo et al., "On calibration of modern neural networks", ICML
    2017, section 4.2.

    Args:
        logits: ``(B, classes)``, of images that the network was not trained on.
        labels: The true classes, int64 ``(B,)``.

    Returns:
        T, 0.0001 to 10,000: more than 1 where the network is too sure, and less where it is not sure enough.
    """
    from scipy.optimize import minimize_scalar

    exact = logits.double()

    def nll(log_temperature: float) -> float:
        return float(cross_entropy(exact / math.exp(log_temperature), labels))

    found = minimize_scalar(nll, bounds=(math.log(1e-4), math.log(1e4)), method="bounded", options={"xatol": 1e-6})
    return math.exp(float(found.x))
