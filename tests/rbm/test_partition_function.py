from __future__ import annotations

import pytest
import torch

from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.partition_function import (
    annealed_log_partition,
    base_rate_bias,
    exact_log_partition,
    exact_pseudo_log_likelihood,
    pseudo_log_likelihood,
    reverse_annealed_log_partition,
)


def make_rbm(visible: int, hidden: int) -> BernoulliRBM:
    rbm = BernoulliRBM(visible, hidden, weight_std=0.4)
    with torch.no_grad():
        rbm.visible_bias.normal_()
        rbm.hidden_bias.normal_()
    return rbm


@pytest.mark.parametrize(("visible", "hidden"), [(10, 3), (3, 10), (15, 15)])
def test_enumerating_either_layer_gives_the_same_log_partition(visible: int, hidden: int) -> None:
    rbm = make_rbm(visible, hidden).double()
    transposed = BernoulliRBM(hidden, visible).double()
    with torch.no_grad():
        transposed.weight.copy_(rbm.weight.T)
        transposed.visible_bias.copy_(rbm.hidden_bias)
        transposed.hidden_bias.copy_(rbm.visible_bias)
    assert exact_log_partition(rbm) == pytest.approx(exact_log_partition(transposed), rel=1e-12)


def test_partition_function_without_weights_matches_the_formula() -> None:
    rbm = make_rbm(30, 12)
    with torch.no_grad():
        rbm.weight.zero_()
    biases = torch.cat([rbm.visible_bias, rbm.hidden_bias]).detach().double()
    expected = float(torch.nn.functional.softplus(biases).sum())
    assert exact_log_partition(rbm) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(ValueError, match="30 × 21 units are too many"):
        exact_log_partition(make_rbm(30, 21))


@pytest.mark.parametrize("seed", range(5))
def test_annealing_interval_contains_the_exact_value(seed: int) -> None:
    torch.manual_seed(seed)
    rbm = make_rbm(30, 12)
    base = base_rate_bias(torch.rand(30))
    exact = exact_log_partition(rbm)
    betas = torch.linspace(0, 1, 400)
    forward = annealed_log_partition(rbm, base, betas=betas, chains=500)
    assert forward.low <= exact <= forward.high
    assert forward.high - forward.low < 0.5
    assert 100 < forward.effective_samples <= 500
    samples = rbm.gibbs(torch.bernoulli(torch.full((500, 30), 0.5)), 500)
    reverse = reverse_annealed_log_partition(rbm, base, betas=betas, samples=samples)
    assert reverse.low <= exact <= reverse.high
    assert abs(forward.value - reverse.value) < 0.3


def test_too_few_temperatures_reduce_the_effective_sample_size() -> None:
    torch.manual_seed(0)
    rbm = make_rbm(60, 12)
    with torch.no_grad():
        rbm.weight.mul_(4)
    few = annealed_log_partition(rbm, torch.zeros(60), betas=torch.linspace(0, 1, 3), chains=500)
    many = annealed_log_partition(rbm, torch.zeros(60), betas=torch.linspace(0, 1, 3000), chains=500)
    assert few.effective_samples < 25 < many.effective_samples
    assert abs(many.value - exact_log_partition(rbm)) < abs(few.value - exact_log_partition(rbm))


def test_stochastic_pseudo_likelihood_is_unbiased() -> None:
    rbm = make_rbm(12, 5)
    visible = torch.bernoulli(torch.full((4, 12), 0.5))
    exact = exact_pseudo_log_likelihood(rbm, visible)
    estimates = torch.stack([pseudo_log_likelihood(rbm, visible) for _ in range(4000)])
    standard_errors = estimates.std(0) / 4000**0.5
    assert ((estimates.mean(0) - exact).abs() < 5 * standard_errors).all()


def test_pseudo_likelihood_matches_the_conditionals_of_each_pixel() -> None:
    """From the free energies of each image with and without one pixel flipped."""
    rbm = make_rbm(12, 5).double()
    visible = torch.bernoulli(torch.full((4, 12), 0.5, dtype=torch.float64))
    expected = torch.zeros(4, dtype=torch.float64)
    for pixel in range(12):
        flipped = visible.clone()
        flipped[:, pixel] = 1 - flipped[:, pixel]
        expected += torch.nn.functional.logsigmoid(rbm.free_energy(flipped) - rbm.free_energy(visible)).detach()
    torch.testing.assert_close(exact_pseudo_log_likelihood(rbm, visible).double(), expected, rtol=1e-5, atol=0)


def test_without_weights_the_pseudo_likelihood_equals_the_likelihood() -> None:
    rbm = make_rbm(12, 5).double()
    with torch.no_grad():
        rbm.weight.zero_()
    visible = torch.bernoulli(torch.full((4, 12), 0.5, dtype=torch.float64))
    likelihood = -rbm.free_energy(visible) - exact_log_partition(rbm)
    torch.testing.assert_close(
        exact_pseudo_log_likelihood(rbm, visible).double(), likelihood.detach(), rtol=1e-5, atol=0
    )


def test_base_rate_bias_is_finite_for_pixels_that_are_always_off() -> None:
    bias = base_rate_bias(torch.tensor([0.0, 0.5, 1.0]))
    assert bias.isfinite().all()
    assert float(bias[1]) == 0
    assert float(bias[0]) == pytest.approx(-float(bias[2]), rel=1e-3)
