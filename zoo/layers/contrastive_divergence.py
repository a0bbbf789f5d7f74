"""How an RBM is trained: the update of Hinton's guide, in torch's terms, and what is watched meanwhile.

Hinton, "A practical guide to training restricted Boltzmann machines", UTML TR 2010-003, sections 4 to 11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import SGD
from torchmetrics import Metric

from zoo.layers.bernoulli_rbm import BernoulliRBM
from zoo.layers.rbm_likelihood import base_rate_bias, pseudo_log_likelihood

WATCHED = {"val_reconstruction_error": "reconstruction error", "free_energy_gap": "free-energy gap"}
"""Logged name of what is watched in every epoch to what it is called."""


def make_optimizer(rbms: Iterable[BernoulliRBM], lr: float, weight_cost: float) -> SGD:
    """Return gradient descent with momentum, its weight cost on the weights and not on the biases (section 10)."""
    groups: list[dict[str, object]] = []
    for rbm in rbms:
        groups.append({"params": [rbm.weight], "weight_decay": weight_cost})
        groups.append({"params": [rbm.visible_bias, rbm.hidden_bias], "weight_decay": 0.0})
    return SGD(groups, lr=lr, fused=True)


def set_momentum(optimizer: SGD, momentum: float) -> None:
    """Set the momentum: low at the beginning, when gradients are large, and then higher (section 9)."""
    for group in optimizer.param_groups:
        group["momentum"] = momentum


def mean_of(chunks: Iterable[Tensor]) -> Tensor:
    """Return the mean over the rows of all chunks ``(B, V)``, ``(V,)``, summed in double precision."""
    total, rows = torch.zeros((), dtype=torch.float64), 0
    for chunk in chunks:
        total = total + chunk.double().sum(dim=0).cpu()
        rows += len(chunk)
    return (total / rows).float()


@torch.no_grad()
def begin_at_base_rates(rbm: BernoulliRBM, visible_means: Tensor) -> None:
    """Let the visible biases say how often each unit is on, so that the weights need not (section 8).

    Args:
        rbm: The model.
        visible_means: The mean of each visible unit over the training data, ``(V,)``; one that is never on gets a
            large negative bias and no infinite one.
    """
    rbm.visible_bias.copy_(base_rate_bias(visible_means))


def sparsity_loss(hidden_inputs: Tensor, hidden_mean: Tensor, target: float, cost: float) -> Tensor:
    """Return a scalar whose gradient by each hidden unit's input is cost · (q − target) (section 11).

    That is the derivative of the cross-entropy between the wanted and the actual activity; it reaches the hidden
    biases and the incoming weights, and no visible bias. The value itself means nothing.

    Args:
        hidden_inputs: ``(B, H)``, with gradients.
        hidden_mean: q, each hidden unit's mean activity of late, ``(H,)``.
        target: The wanted mean activity.
        cost: How much it counts.
    """
    return cost * ((hidden_mean.detach() - target) * hidden_inputs.mean(dim=0)).sum()


@torch.no_grad()
def centre_gradients(rbm: BernoulliRBM, visible_mean: Tensor, hidden_mean: Tensor) -> None:
    """Turn the gradients into those of the centred model, (v − μ)ᵀW(h − λ), told in the ordinary parameters.

    Montavon and Müller, "Deep Boltzmann machines and the centering trick", 2012; Melchior, Fischer and Wiskott, "How
    to center deep Boltzmann machines", JMLR 2016, section 3. The model stays the same; a step no longer depends
    on which of a pixel's two values is called 1.

    Args:
        rbm: The model, with gradients.
        visible_mean: μ, ``(V,)``.
        hidden_mean: λ, ``(H,)``.
    """
    weight, visible, hidden = (p.grad for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
    assert weight is not None
    assert visible is not None
    assert hidden is not None
    weight -= torch.outer(visible_mean, hidden) + torch.outer(visible, hidden_mean)
    visible -= weight @ hidden_mean
    hidden -= visible_mean @ weight


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
    def update(self, rbm: BernoulliRBM, visible: Tensor, binary: Tensor | None = None) -> None:
        """Add visible states ``(B, V)`` in [0, 1] and, where they are to be scored, binary ones."""
        self.squared_error = self.squared_error + (rbm.reconstruct(visible) - visible).square().sum()
        self.free_energy = self.free_energy + rbm.free_energy(visible).sum()
        if binary is not None:
            with torch.random.fork_rng(devices=[binary.device] if binary.is_cuda else []):
                # The same pixels are flipped each time, and the training's own noise goes on as if none were.
                torch.manual_seed(0)
                self.pseudo_log_likelihood = self.pseudo_log_likelihood + pseudo_log_likelihood(rbm, binary).sum()
        self.images = self.images + len(visible)
        self.units = self.units + visible.numel()

    def compute(self) -> dict[str, Tensor]:
        """Return the mean squared error of a visible unit, and the mean free energy and pseudo-log-likelihood."""
        return {
            "reconstruction_error": self.squared_error / self.units,
            "free_energy": self.free_energy / self.images,
            "pseudo_log_likelihood": self.pseudo_log_likelihood / self.images,
        }


def summarise(totals: RBMTotals, rbm: BernoulliRBM, reference: Callable[[int], Iterable[Tensor]]) -> dict[str, Tensor]:
    """Return what was watched on validation images, beside training images, and begin anew.

    Args:
        totals: What was counted on the validation images.
        rbm: The model.
        reference: Called with the number of validation images, gives as many training images, ``(B, V)`` at a time.

    Returns:
        What `RBMTotals.compute` does and, if there are training images, ``free_energy_gap``: the validation images'
        mean free energy less theirs. It is near 0 at first and grows when the model learns the training images by
        heart (Hinton's guide, section 6).
    """
    figures = totals.compute()
    beside = RBMTotals(sync_on_compute=False).to(totals.device)  # every process has all training images
    for visible in reference(int(totals.images)):
        beside.update(rbm, visible)
    totals.reset()
    if not beside.update_called:
        return figures
    return {**figures, "free_energy_gap": figures["free_energy"] - beside.compute()["free_energy"]}
