"""The partition function of an RBM, exactly and by annealed importance sampling, and the pseudo-likelihood.

Salakhutdinov and Murray, "On the quantitative analysis of deep belief networks", ICML 2008; Neal, "Annealed
importance sampling", Statistics and Computing 2001; for the reverse estimate: Burda, Grosse and Salakhutdinov,
"Accurate and conservative estimates of MRF log-likelihood using reverse annealing", AISTATS 2015.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zoo.rbm.bernoulli_rbm import BernoulliRBM, sample

Track = Callable[[list[tuple[float, float]]], Iterable[tuple[float, float]]]

MAX_ENUMERATED_UNITS = 20
"""The largest layer whose states are enumerated; it has a million states."""


@dataclass(frozen=True)
class LogPartition:
    """An estimate of log Z in nats."""

    value: float
    low: float
    """Lower bound, three standard errors of the mean importance weight away; −∞ if that weight is not positive."""
    high: float
    """Upper bound, likewise; ∞ if that weight is not positive."""
    effective_samples: float
    """Effective sample size of the chains, from 1 to their number; an estimate with a small one is unreliable."""


@torch.no_grad()
def exact_log_partition(rbm: BernoulliRBM) -> float:
    """Return log Z, by summing over all states of the smaller layer.

    Raises:
        ValueError: Both layers have more than 20 units.
    """
    visible, hidden = rbm.weight.shape
    if min(visible, hidden) > MAX_ENUMERATED_UNITS:
        raise ValueError(f"{visible} × {hidden} units are too many to enumerate: one layer must have at most 20")
    weight = rbm.weight.double() if hidden <= visible else rbm.weight.double().T
    large, small = (rbm.visible_bias, rbm.hidden_bias) if hidden <= visible else (rbm.hidden_bias, rbm.visible_bias)
    units = weight.shape[1]
    partial_sums = []
    for numbers in torch.arange(2**units, device=weight.device).split(2**14):
        states = (numbers[:, None] >> torch.arange(units, device=weight.device) & 1).double()  # (C, small)
        energies = states @ small.double() + F.softplus(states @ weight.T + large.double()).sum(dim=1)
        partial_sums.append(energies.logsumexp(dim=0))
    return float(torch.stack(partial_sums).logsumexp(dim=0))


def base_rate_bias(pixel_means: Tensor, clip: float = 1e-4) -> Tensor:
    """Return the log-odds of the pixels' means p, log(p / (1 − p)), ``(V,)``.

    The means are clipped to [clip, 1 − clip], because the log-odds of a pixel that is always off are infinite.
    """
    return torch.logit(pixel_means.clamp(clip, 1 - clip))


@torch.no_grad()
def annealed_log_partition(
    rbm: BernoulliRBM, base_bias: Tensor, *, betas: Tensor, chains: int, track: Track = iter
) -> LogPartition:
    """Estimate log Z by annealed importance sampling from the base-rate model to the RBM.

    The estimate of Z is unbiased, so log Z is underestimated on average. All chains are one batched computation. The
    base-rate model has zero weights and the visible biases ``base_bias``, so its log Z and its samples are exact.

    Args:
        rbm: The model.
        base_bias: Visible biases of the base-rate model, ``(V,)``, for example `base_rate_bias` of the training images.
        betas: Inverse temperatures from 0 to 1, ascending, ``(K,)``; thousands for a model of MNIST.
        chains: Number of chains, at least 2.
        track: Iterates over the list of steps and may show the progress, for example ``tqdm.tqdm``.
    """
    visible = sample(torch.sigmoid(base_bias).expand(chains, -1))
    inputs = rbm.hidden_inputs(visible)
    log_weights = torch.zeros(chains, dtype=torch.float64, device=base_bias.device)
    for lower, upper in track(list(itertools.pairwise(betas.tolist()))):
        log_weights += _energy_difference(rbm, base_bias, visible, inputs, lower, upper)
        visible, inputs = _gibbs(rbm, base_bias, inputs, upper)
    return _estimate(_base_log_partition(rbm, base_bias), log_weights, sign=1)


@torch.no_grad()
def reverse_annealed_log_partition(
    rbm: BernoulliRBM, base_bias: Tensor, *, betas: Tensor, samples: Tensor, track: Track = iter
) -> LogPartition:
    """Estimate log Z by annealed importance sampling from samples of the RBM to the base-rate model.

    log Z is overestimated on average, in contrast to `annealed_log_partition`. A large difference between the two
    estimates shows that they are unreliable.

    Args:
        rbm: The model.
        base_bias: As for `annealed_log_partition`.
        betas: As for `annealed_log_partition`, also ascending.
        samples: Visible states sampled from the model, ``(C, V)``, for example by long Gibbs chains.
        track: As for `annealed_log_partition`.
    """
    inputs = rbm.hidden_inputs(samples)
    log_weights = torch.zeros(len(samples), dtype=torch.float64, device=base_bias.device)
    for upper, lower in track(list(itertools.pairwise(betas.flip(0).tolist()))):
        visible, inputs = _gibbs(rbm, base_bias, inputs, upper)
        log_weights -= _energy_difference(rbm, base_bias, visible, inputs, lower, upper)
    return _estimate(_base_log_partition(rbm, base_bias), log_weights, sign=-1)


@torch.no_grad()
def pseudo_log_likelihood(rbm: BernoulliRBM, visible: Tensor, pixels: Tensor | None = None) -> Tensor:
    """Return an unbiased estimate of each image's log pseudo-likelihood in nats, ``(B,)``.

    It is the mean over pixels i, uniformly chosen, of V · log σ(F(v with pixel i flipped) − F(v)). Besag, "Statistical
    analysis of non-lattice data", 1975.

    Args:
        rbm: The model.
        visible: Binary states, ``(B, V)``.
        pixels: Indices of the pixels of each image, int64 ``(B, P)``; None chooses one at random.
    """
    if pixels is None:
        pixels = torch.randint(visible.shape[1], (len(visible), 1), device=visible.device)
    inputs = rbm.hidden_inputs(visible)
    log_conditionals = [_log_conditional(rbm, visible, inputs, column) for column in pixels.unbind(dim=1)]
    return visible.shape[1] * torch.stack(log_conditionals).mean(dim=0)


@torch.no_grad()
def exact_pseudo_log_likelihood(rbm: BernoulliRBM, visible: Tensor) -> Tensor:
    """Return each image's log pseudo-likelihood in nats, ``(B,)``: Σ_i log p(v_i | the other pixels).

    Args:
        rbm: The model.
        visible: Binary states, ``(B, V)``.
    """
    inputs = rbm.hidden_inputs(visible)
    columns = torch.arange(visible.shape[1], device=visible.device).expand(len(visible), -1).unbind(dim=1)
    return torch.stack([_log_conditional(rbm, visible, inputs, column) for column in columns]).sum(dim=0)


def _log_conditional(rbm: BernoulliRBM, visible: Tensor, inputs: Tensor, pixel: Tensor) -> Tensor:
    """Return log p(v_i | the other pixels), ``(B,)``, for one pixel i of each image, int64 ``(B,)``.

    Flipping a pixel changes the hidden inputs by one row of the weights, so no matrix product is needed.
    """
    change = 1 - 2 * visible.gather(1, pixel.unsqueeze(1))  # (B, 1): +1 switches the pixel on, −1 off
    difference = F.softplus(inputs + change * rbm.weight[pixel]) - F.softplus(inputs)
    return F.logsigmoid(-change.squeeze(1) * rbm.visible_bias[pixel] - difference.sum(dim=1))


def _energy_difference(
    rbm: BernoulliRBM, base_bias: Tensor, visible: Tensor, inputs: Tensor, lower: float, upper: float
) -> Tensor:
    """Return the free energy at the lower inverse temperature minus that at the upper one, float64 ``(C,)``."""
    hidden = (F.softplus(upper * inputs) - F.softplus(lower * inputs)).double().sum(dim=1)
    return hidden + (upper - lower) * (visible.double() @ (rbm.visible_bias - base_bias).double())


def _gibbs(rbm: BernoulliRBM, base_bias: Tensor, inputs: Tensor, beta: float) -> tuple[Tensor, Tensor]:
    """Make a Gibbs step, whose stationary distribution is that at the inverse temperature ``beta``.

    Returns:
        The next visible states, and their hidden inputs.
    """
    hidden = sample(torch.sigmoid(beta * inputs))
    bias = (1 - beta) * base_bias + beta * rbm.visible_bias
    visible = sample(torch.sigmoid(beta * F.linear(hidden, rbm.weight) + bias))
    return visible, rbm.hidden_inputs(visible)


def _base_log_partition(rbm: BernoulliRBM, base_bias: Tensor) -> float:
    return float(F.softplus(base_bias.double()).sum()) + len(rbm.hidden_bias) * math.log(2)


def _estimate(base: float, log_weights: Tensor, sign: int) -> LogPartition:
    """Return log Z from the mean importance weight; weights are relative to the largest, to avoid overflow."""
    largest = log_weights.max()
    weights = (log_weights - largest).exp()
    mean, error = float(weights.mean()), float(weights.std()) / math.sqrt(len(weights))

    def log(value: float) -> float:
        return base + sign * (math.log(value) + float(largest)) if value > 0 else -sign * math.inf

    low, high = sorted((log(mean - 3 * error), log(mean + 3 * error)))
    return LogPartition(log(mean), low, high, float(weights.sum() ** 2 / weights.square().sum()))
