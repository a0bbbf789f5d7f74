"""The likelihood of images under a trained RBM: measured twice, with an interval, and with a doubt where it is due."""

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

from zoo.data.binarization import sampled_pixels
from zoo.metrics.intervals import Z_975
from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.partition_function import (
    LogPartition,
    Track,
    annealed_log_partition,
    base_rate_bias,
    reverse_annealed_log_partition,
)
from zoo.utils.console import is_watched

CHAINS = 100
TEMPERATURES = 10_000
BURN_IN = 1000
"""Steps of Gibbs sampling from images to what is taken for samples of the model."""

LARGEST_DISAGREEMENT = 2.0
"""Nats between the forward and the reverse estimate beyond which neither is to be trusted."""

FEWEST_EFFECTIVE_CHAINS = 10


@dataclass(frozen=True)
class Likelihood:
    """The mean log-likelihood of a set of images in nats, and how far it can be believed."""

    log_likelihood: float
    log_likelihood_low: float
    """Lower end: 95 % for the choice of images, and three standard errors of the partition function."""
    log_likelihood_high: float
    log_partition: float
    """log Z by annealing from the base rates to the model."""
    log_partition_reverse: float
    """log Z by annealing from samples of the model to the base rates."""
    effective_chains: float
    """Of the annealed chains, how many independent ones they are worth."""

    @property
    def doubt(self) -> str | None:
        """Why the figure cannot be trusted; None when nothing speaks against it."""
        apart = abs(self.log_partition - self.log_partition_reverse)
        if not apart <= LARGEST_DISAGREEMENT:
            return f"forward and reverse annealing differ by {apart:.1f} nats"
        if not self.effective_chains >= FEWEST_EFFECTIVE_CHAINS:
            return f"the annealed chains are worth {self.effective_chains:.1f} independent ones only"
        if not math.isfinite(self.log_likelihood_low + self.log_likelihood_high):
            return "its interval has no end"
        return None

    def figures(self) -> dict[str, float]:
        """Return everything by name."""
        return dataclasses.asdict(self)

    @classmethod
    def from_figures(cls, figures: Mapping[str, float]) -> Self | None:
        """Return what `figures` was made from; None when something is missing."""
        names = [field.name for field in dataclasses.fields(cls)]
        return cls(**{name: figures[name] for name in names}) if figures.keys() >= set(names) else None

    def __str__(self) -> str:
        text = (
            f"log-likelihood {self.log_likelihood:.2f} nats ({self.log_likelihood_low:.2f} to "
            f"{self.log_likelihood_high:.2f}), pixels sampled with seed 0; log Z {self.log_partition:.2f}, in reverse "
            f"{self.log_partition_reverse:.2f}"
        )
        return text if self.doubt is None else f"{text}. Do not trust it: {self.doubt}."


def measure_likelihood(
    rbm: BernoulliRBM,
    visible_mean: Tensor,
    free_energies: Tensor,
    images: Tensor,
    *,
    chains: int = CHAINS,
    temperatures: int = TEMPERATURES,
) -> Likelihood:
    """Measure log Z by annealed importance sampling in both directions, and with it the mean log-likelihood.

    It always draws the same noise, and leaves torch's generator as it was.

    Args:
        rbm: The model.
        visible_mean: Each pixel's mean over the training images, ``(784,)``: the base of the annealing.
        free_energies: F of the images that are to be judged, pixels sampled, ``(N,)``.
        images: Where the model's own samples begin, at least ``chains`` of them, ``(M, 784)`` in [0, 1].
        chains: Annealed chains in each direction, at least 2.
        temperatures: Steps of the annealing.
    """
    if visible_mean.device.type == "mps":  # which has no double precision
        rbm, visible_mean, images = copy.deepcopy(rbm).cpu(), visible_mean.cpu(), images.cpu()
    base = base_rate_bias(visible_mean)
    betas = torch.linspace(0, 1, temperatures + 1)
    with torch.random.fork_rng(devices=[base.device] if base.is_cuda else []):
        torch.manual_seed(0)
        forward = annealed_log_partition(rbm, base, betas=betas, chains=chains, track=_bar("Annealing"))
        samples = rbm.gibbs(sampled_pixels(images[:chains]), BURN_IN)
        reverse = reverse_annealed_log_partition(
            rbm, base, betas=betas, samples=samples, track=_bar("Annealing in reverse")
        )
    return _likelihood(free_energies, forward, reverse)


def _likelihood(free_energies: Tensor, forward: LogPartition, reverse: LogPartition) -> Likelihood:
    energies = free_energies.cpu().double()
    mean = -float(energies.mean())
    half = Z_975 * float(energies.std()) / math.sqrt(len(energies)) if len(energies) > 1 else math.inf
    return Likelihood(
        log_likelihood=mean - forward.value,
        log_likelihood_low=mean - half - forward.high,
        log_likelihood_high=mean + half - forward.low,
        log_partition=forward.value,
        log_partition_reverse=reverse.value,
        effective_chains=forward.effective_samples,
    )


def _bar(description: str) -> Track:
    """A progress bar where there is a terminal."""
    return partial(tqdm, desc=description, leave=False, disable=not is_watched())
