"""The log-likelihood of images under a trained RBM, by annealed importance sampling in both directions."""

from __future__ import annotations

import copy
import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Self

import torch
from torch import Tensor
from tqdm import tqdm

from zoo.data.binarization import sample_binary_pixels
from zoo.metrics.intervals import Z_975
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.partition_function import (
    LogPartition,
    Track,
    annealed_log_partition,
    base_rate_bias,
    reverse_annealed_log_partition,
)
from zoo.utils.console import is_interactive

CHAINS = 100
TEMPERATURES = 10_000
BURN_IN = 1000
"""Gibbs steps from the images to approximate samples of the model."""

MAX_ESTIMATE_DIFFERENCE = 2.0
"""The largest difference in nats between the forward and the reverse estimate of log Z that counts as reliable."""

MIN_EFFECTIVE_CHAINS = 10


@dataclass(frozen=True)
class Likelihood:
    """The mean log-likelihood of a set of images in nats, with measures of its reliability."""

    log_likelihood: float
    log_likelihood_low: float
    """Lower bound: 95 % interval over images, plus three standard errors of the partition function."""
    log_likelihood_high: float
    log_partition: float
    """log Z, estimated by annealing from the base-rate model to the RBM."""
    log_partition_reverse: float
    """log Z, estimated by annealing from samples of the RBM to the base-rate model."""
    effective_chains: float
    """Effective sample size of the annealed chains."""

    @property
    def warning(self) -> str | None:
        """The reason why the estimate is unreliable; None if it is reliable."""
        difference = abs(self.log_partition - self.log_partition_reverse)
        if not difference <= MAX_ESTIMATE_DIFFERENCE:
            return f"forward and reverse annealing differ by {difference:.1f} nats"
        if not self.effective_chains >= MIN_EFFECTIVE_CHAINS:
            return f"the annealed chains are worth {self.effective_chains:.1f} independent ones only"
        if not math.isfinite(self.log_likelihood_low + self.log_likelihood_high):
            return "its interval has no end"
        return None

    def metrics(self) -> dict[str, float]:
        """Return all fields by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_metrics(cls, metrics: Mapping[str, float]) -> Self | None:
        """Return the likelihood with these fields, the inverse of `figures`; None if a field is missing."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: metrics[name] for name in names}) if metrics.keys() >= set(names) else None

    def __str__(self) -> str:
        text = (
            f"log-likelihood {self.log_likelihood:.2f} nats ({self.log_likelihood_low:.2f} to "
            f"{self.log_likelihood_high:.2f}), pixels sampled with seed 0; log Z {self.log_partition:.2f}, in reverse "
            f"{self.log_partition_reverse:.2f}"
        )
        return text if self.warning is None else f"{text}. Do not trust it: {self.warning}."


def measure_likelihood(
    rbm: BernoulliRBM,
    visible_mean: Tensor,
    free_energies: Tensor,
    images: Tensor,
    *,
    chains: int = CHAINS,
    temperatures: int = TEMPERATURES,
) -> Likelihood:
    """Estimate the mean log-likelihood, with log Z by annealed importance sampling in both directions.

    The random numbers are seeded with 0, and torch's RNG state is restored.

    Args:
        rbm: The model.
        visible_mean: Each pixel's mean over the training images, ``(784,)``, for the base-rate model.
        free_energies: Free energies of the evaluated images with sampled pixels, ``(N,)``.
        images: Initial states of the Gibbs chains that sample the model, ``(M, 784)`` in [0, 1], M ≥ ``chains``.
        chains: Annealed chains in each direction, at least 2.
        temperatures: Annealing steps.
    """
    if visible_mean.device.type == "mps":  # MPS does not support float64
        rbm, visible_mean, images = copy.deepcopy(rbm).cpu(), visible_mean.cpu(), images.cpu()
    base = base_rate_bias(visible_mean)
    betas = torch.linspace(0, 1, temperatures + 1)
    with torch.random.fork_rng(devices=[base.device] if base.is_cuda else []):
        torch.manual_seed(0)
        forward = annealed_log_partition(rbm, base, betas=betas, chains=chains, track=_progress_bar("Annealing"))
        samples = rbm.gibbs(sample_binary_pixels(images[:chains]), BURN_IN)
        reverse = reverse_annealed_log_partition(
            rbm, base, betas=betas, samples=samples, track=_progress_bar("Annealing in reverse")
        )
    return _likelihood(free_energies, forward, reverse)


def _likelihood(free_energies: Tensor, forward: LogPartition, reverse: LogPartition) -> Likelihood:
    energies = free_energies.cpu().double()
    mean = -float(energies.mean())
    half_width = Z_975 * float(energies.std()) / math.sqrt(len(energies)) if len(energies) > 1 else math.inf
    return Likelihood(
        log_likelihood=mean - forward.value,
        log_likelihood_low=mean - half_width - forward.high,
        log_likelihood_high=mean + half_width - forward.low,
        log_partition=forward.value,
        log_partition_reverse=reverse.value,
        effective_chains=forward.effective_samples,
    )


def _progress_bar(description: str) -> Track:
    """Return a progress bar, which is shown on a terminal only."""
    return partial(tqdm, desc=description, leave=False, disable=not is_interactive())
