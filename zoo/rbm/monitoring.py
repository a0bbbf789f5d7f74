"""Metrics for monitoring the training of an RBM, whose loss is not meaningful.

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
"""Pixels per validation image in the pseudo-log-likelihood; the same in every epoch, so that epochs are comparable."""

MONITORED_METRICS = {"val_reconstruction_error": "reconstruction error", "free_energy_gap": "free-energy gap"}
"""Logged name to label, of the metrics in each epoch's line of output."""


class RBMTotals(Metric):
    """Sums of the monitored metrics over images and devices."""

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
        """Add a batch.

        Args:
            rbm: The model.
            visible: Visible states, ``(B, V)`` in [0, 1].
            binary: Binary visible states for the pseudo-log-likelihood, ``(B, V)``; None omits it.
            pixels: The pixels in the pseudo-log-likelihood, int64 ``(B, P)``; None chooses one at random.
        """
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
        """Return the mean squared error per visible unit, the other means per image, and the number of images."""
        return {
            "reconstruction_error": self.squared_error / self.units,
            "free_energy": self.free_energy / self.images,
            "pseudo_log_likelihood": self.pseudo_log_likelihood / self.images,
            "images": self.images,
        }


def summarize(totals: RBMTotals, rbm: BernoulliRBM, reference: Callable[[int], Iterable[Tensor]]) -> dict[str, Tensor]:
    """Return the monitored metrics of the validation images, and reset the totals.

    Args:
        totals: The totals over the validation images.
        rbm: The model.
        reference: Maps a number n to n training images, in batches ``(B, V)``.

    Returns:
        The means of `RBMTotals.compute` and, if there are training images, ``free_energy_gap``: the mean free energy of
        the validation images minus that of equally many training images. It is near 0 at first and increases with
        overfitting (Hinton's guide, section 6).
    """
    metrics = totals.compute()
    num_images = int(metrics.pop("images"))  # of all processes
    training_totals = RBMTotals(sync_on_compute=False).to(totals.device)  # every process has all training images
    for visible in reference(num_images):
        training_totals.update(rbm, visible)
    totals.reset()
    if not training_totals.update_called:
        return metrics
    return {**metrics, "free_energy_gap": metrics["free_energy"] - training_totals.compute()["free_energy"]}
