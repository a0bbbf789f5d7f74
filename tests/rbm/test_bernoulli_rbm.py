"""Tests of `BernoulliRBM` against the enumeration of all states of a small RBM."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from zoo.rbm.bernoulli_rbm import BernoulliRBM, sample
from zoo.rbm.partition_function import exact_log_partition

V, H = 6, 4


@pytest.fixture
def rbm() -> BernoulliRBM:
    rbm = BernoulliRBM(V, H, weight_std=0.8).double()
    with torch.no_grad():
        rbm.visible_bias.normal_()
        rbm.hidden_bias.normal_()
    return rbm


def all_states(units: int) -> Tensor:
    return torch.tensor(list(itertools.product([0.0, 1.0], repeat=units)), dtype=torch.float64)


def negative_energy(rbm: BernoulliRBM) -> Tensor:
    """Return −E by its definition, with visible states in rows and hidden states in columns."""
    v, h = all_states(V), all_states(H)
    return (v @ rbm.visible_bias)[:, None] + (h @ rbm.hidden_bias)[None] + v @ rbm.weight @ h.T


def test_free_energy_marginalizes_over_the_hidden_states(rbm: BernoulliRBM) -> None:
    torch.testing.assert_close(rbm.free_energy(all_states(V)), -negative_energy(rbm).logsumexp(dim=1))


def test_conditionals_match_the_joint_distribution(rbm: BernoulliRBM) -> None:
    joint = negative_energy(rbm).exp()
    torch.testing.assert_close(
        rbm.hidden_probabilities(all_states(V)), joint @ all_states(H) / joint.sum(1, keepdim=True)
    )
    torch.testing.assert_close(
        rbm.visible_probabilities(all_states(H)), joint.T @ all_states(V) / joint.sum(0)[:, None]
    )


def test_gradient_matches_the_contrastive_divergence_rule(rbm: BernoulliRBM) -> None:
    data, model = torch.rand(5, V, dtype=torch.float64), torch.bernoulli(torch.rand(7, V, dtype=torch.float64))
    rbm.contrastive_loss(data, model).backward()

    def correlation(visible: Tensor) -> Tensor:
        return visible.T @ rbm.hidden_probabilities(visible) / len(visible)

    with torch.no_grad():
        torch.testing.assert_close(rbm.weight.grad, correlation(model) - correlation(data))
        torch.testing.assert_close(rbm.visible_bias.grad, model.mean(0) - data.mean(0))
        hidden = [rbm.hidden_probabilities(visible).mean(0) for visible in (model, data)]
        torch.testing.assert_close(rbm.hidden_bias.grad, hidden[0] - hidden[1])


def test_expected_gradient_matches_the_exact_likelihood(rbm: BernoulliRBM) -> None:
    """The model's exact distribution replaces the chains; the likelihood is differentiated by finite differences."""
    data = torch.bernoulli(torch.full((9, V), 0.4, dtype=torch.float64))
    model = torch.softmax(-rbm.free_energy(all_states(V)), dim=0).detach()
    loss = rbm.free_energy(data).mean() - model @ rbm.free_energy(all_states(V))
    gradients = torch.autograd.grad(loss, list(rbm.parameters()))

    def negative_log_likelihood() -> float:
        return float(rbm.free_energy(data).mean().detach()) + exact_log_partition(rbm)

    step = 1e-5
    for parameter, gradient in zip(rbm.parameters(), gradients, strict=True):
        flat = parameter.data.view(-1)
        for index in range(0, len(flat), 5):
            before = float(flat[index])
            flat[index] = before + step
            above = negative_log_likelihood()
            flat[index] = before - step
            below = negative_log_likelihood()
            flat[index] = before
            assert (above - below) / (2 * step) == pytest.approx(float(gradient.reshape(-1)[index]), abs=1e-8)


def test_gibbs_sampling_converges_to_the_model_distribution(rbm: BernoulliRBM) -> None:
    exact = torch.softmax(-rbm.free_energy(all_states(V)), dim=0) @ all_states(V)
    chains = rbm.gibbs(torch.zeros(20_000, V, dtype=torch.float64), 200)
    assert set(chains.unique().tolist()) == {0.0, 1.0}
    torch.testing.assert_close(chains.mean(0), exact.detach(), atol=5 * 0.5 / 20_000**0.5, rtol=0)
    assert torch.equal(rbm.gibbs(chains, 0), chains)
    probabilities = rbm.gibbs(chains[:5], 1, sample_visible=False)
    assert not set(probabilities.unique().tolist()) <= {0.0, 1.0}


def test_explicit_gradient_equals_autograd_bit_for_bit() -> None:
    """In single precision, at a realistic size."""
    torch.manual_seed(0)
    rbm = BernoulliRBM(784, 500, weight_std=0.1)
    data, model = torch.rand(100, 784), torch.rand(100, 784).round()
    loss = rbm.contrastive_loss(data, model)
    gradients = torch.autograd.grad(3 * loss, list(rbm.parameters()))
    expected = rbm.free_energy(data).mean() - rbm.free_energy(model).mean()
    torch.testing.assert_close(loss, expected, rtol=1e-4, atol=1e-3)
    expected_gradients = torch.autograd.grad(3 * expected, list(rbm.parameters()))
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert torch.equal(gradient, expected_gradient)


def test_samples_equal_torch_bernoulli() -> None:
    probabilities = torch.rand(50, 40)
    torch.manual_seed(3)
    expected = torch.bernoulli(probabilities)
    torch.manual_seed(3)
    assert torch.equal(sample(probabilities), expected)
    assert torch.equal(sample(torch.tensor([0.0, 1.0]).repeat(1000)), torch.tensor([0.0, 1.0]).repeat(1000))
