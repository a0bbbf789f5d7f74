"""What is watched while an RBM is trained: its loss means nothing.

Hinton, "A practical guide to training restricted Boltzmann machines", UTML TR 2010-003, sections 5 and 6.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.partition_function import pseudo_log_likelihood
from zoo.utils.autocast import full_precision

SCORED_PIXELS = 16
"""Of each validation image, for the pseudo-log-likelihood; always the same ones, so that epochs can be compared."""

WATCHED = {"val_reconstruction_error": "reconstruction error", "free_energy_gap": "free-energy gap"}
"""Logged name of what is watched in every epoch to what it is called."""


class RBMTotals(Metric):
    """Sums over images and devices of what is watched while an RBM is trained."""

    full_state_update = False
    squared_error: Tensor
    free_energy: Tensor
    pseudo_log_likelihood: Tensor
    images: Tensor
    units: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name in ("squared_error", "free_energy", "pseudo_log_likelihood"):
            self.add_state(name, torch.zeros(()), dist_reduce_fx="sum")
        for name in ("images", "units"):
            self.add_state(name, torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    @torch.no_grad()
    def update(
        self, rbm: BernoulliRBM, visible: Tensor, binary: Tensor | None = None, pixels: Tensor | None = None
    ) -> None:
        """Add visible states ``(B, V)`` in [0, 1] and, to be scored, binary ones and their pixels ``(B, P)``."""
        with full_precision(visible):
            visible = visible.to(rbm.weight.dtype)
            self.squared_error = self.squared_error + (rbm.reconstruct(visible) - visible).square().sum()
            self.free_energy = self.free_energy + rbm.free_energy(visible).sum()
            if binary is not None:
                score = pseudo_log_likelihood(rbm, binary.to(rbm.weight.dtype), pixels)
                self.pseudo_log_likelihood = self.pseudo_log_likelihood + score.sum()
        self.images = self.images + len(visible)
        self.units = self.units + visible.numel()

    def compute(self) -> dict[str, Tensor]:
        """Return the mean squared error of a visible unit, the means of the others, and how many images there were."""
        return {
            "reconstruction_error": self.squared_error / self.units,
            "free_energy": self.free_energy / self.images,
            "pseudo_log_likelihood": self.pseudo_log_likelihood / self.images,
            "images": self.images,
        }


def summarize(totals: RBMTotals, rbm: BernoulliRBM, reference: Callable[[int], Iterable[Tensor]]) -> dict[str, Tensor]:
    """Return what was watched on validation images, beside training images, and begin anew.

    Args:
        totals: What was counted on the validation images.
        rbm: The model.
        reference: Called with the number of validation images, gives as many training images, ``(B, V)`` at a time.

    Returns:
        The means of `RBMTotals.compute` and, if there are training images, ``free_energy_gap``: the validation images'
        mean free energy less theirs. It is near 0 at first and grows when the model learns the training images by
        heart (Hinton's guide, section 6).
    """
    figures = totals.compute()
    images = int(figures.pop("images"))  # of all processes
    beside = RBMTotals(sync_on_compute=False).to(totals.device)  # every process has all training images
    for visible in reference(images):
        beside.update(rbm, visible)
    totals.reset()
    if not beside.update_called:
        return figures
    return {**figures, "free_energy_gap": figures["free_energy"] - beside.compute()["free_energy"]}
