from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from zoo.layers.initializers import INITIALIZERS, initialize
from zoo.utils.errors import UsageError

FAN_IN, FAN_OUT = 600, 300


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("normal", 1.0),
        ("uniform", 1 / 3),
        ("xavier_normal", 2 / (FAN_IN + FAN_OUT)),
        ("xavier_uniform", 2 / (FAN_IN + FAN_OUT)),
        ("he_normal", 2 / FAN_IN),
        ("he_uniform", 2 / FAN_IN),
        ("lecun_normal", 1 / FAN_IN),
        ("zeros", 0.0),
    ],
)
def test_variance_matches_the_paper(name: str, variance: float) -> None:
    layer = nn.Linear(FAN_IN, FAN_OUT)
    initialize(layer, name, "zeros")
    weight = layer.weight.detach()
    n = weight.numel()
    # Five standard errors of a sample variance, which is largest for the normal distribution (kurtosis 3).
    assert float(weight.var()) == pytest.approx(variance, abs=5 * variance * math.sqrt(2 / n) + 1e-12)
    assert float(weight.mean()) == pytest.approx(0, abs=5 * math.sqrt(variance / n) + 1e-12)
    assert not layer.bias.any()


def test_uniform_initializers_stay_within_their_bounds() -> None:
    weight = INITIALIZERS["uniform"](torch.empty(1000, 100))
    assert -1 <= float(weight.min()) < -0.99
    assert 0.99 < float(weight.max()) <= 1
    bound = math.sqrt(6 / (FAN_IN + FAN_OUT))  # Glorot and Bengio, equation 16
    assert float(INITIALIZERS["xavier_uniform"](torch.empty(FAN_OUT, FAN_IN)).abs().max()) <= bound


def test_the_bias_has_its_own_initializer() -> None:
    layer = nn.Linear(3, 100_000)
    initialize(layer, "zeros", "normal")
    assert float(layer.bias.detach().std()) == pytest.approx(1, abs=0.02)
    assert not layer.weight.any()


def test_unknown_names_raise_with_a_suggestion() -> None:
    with pytest.raises(UsageError, match="did you mean xavier_normal or xavier_uniform"):
        initialize(nn.Linear(2, 2), "xavier", "zeros")
    with pytest.raises(UsageError, match="suits weights only: choose zeros, uniform, normal"):
        initialize(nn.Linear(2, 2), "zeros", "he_normal")
    with pytest.raises(UsageError, match="Unknown bias_init 'zero': did you mean zeros"):
        initialize(nn.Linear(2, 2), "zeros", "zero")
