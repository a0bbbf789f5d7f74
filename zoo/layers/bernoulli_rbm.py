"""The restricted Boltzmann machine as a distribution: energies, conditionals, Gibbs sampling.

E(v, h) = −a·v − b·h − vᵀWh over binary v and h. Summing h out gives the free energy
F(v) = −a·v − Σ_j softplus(b_j + (vW)_j), with p(v) = e^{−F(v)} / Z. Smolensky 1986; Hinton, "Training products of
experts by minimizing contrastive divergence", Neural Computation 2002; Hinton, "A practical guide to training
restricted Boltzmann machines", 2010.
"""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def full_precision(tensor: Tensor) -> AbstractContextManager[None]:
    """Keep mixed precision out of a block: what an RBM is trained and judged by are small differences of large sums.

    Args:
        tensor: One on the device in question.
    """
    return torch.autocast(tensor.device.type, enabled=False)


class BernoulliRBM(nn.Module):
    """A restricted Boltzmann machine of binary visible and hidden units.

    Args:
        num_visible: V, at least 1.
        num_hidden: H, at least 1.
        weight_std: Standard deviation of the initial weights, whose mean is 0; both biases begin at 0. Hinton's
            guide, section 8, has 0.01.
    """

    def __init__(self, num_visible: int, num_hidden: int, weight_std: float = 0.01) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(num_visible, num_hidden) * weight_std)
        self.visible_bias = nn.Parameter(torch.zeros(num_visible))
        self.hidden_bias = nn.Parameter(torch.zeros(num_hidden))

    def hidden_inputs(self, visible: Tensor) -> Tensor:
        """Return b + vW, the log-odds of the hidden units, ``(B, H)``, for ``visible`` ``(B, V)`` in [0, 1]."""
        return F.linear(visible, self.weight.T, self.hidden_bias)

    def hidden_probabilities(self, visible: Tensor) -> Tensor:
        """Return P(h = 1 | v), ``(B, H)``, for ``visible`` ``(B, V)`` in [0, 1]."""
        return torch.sigmoid(self.hidden_inputs(visible))

    def visible_probabilities(self, hidden: Tensor) -> Tensor:
        """Return P(v = 1 | h), ``(B, V)``, for ``hidden`` ``(B, H)`` in [0, 1]."""
        return torch.sigmoid(F.linear(hidden, self.weight, self.visible_bias))

    def free_energy(self, visible: Tensor, hidden_inputs: Tensor | None = None) -> Tensor:
        """Return F(v) in nats, ``(B,)``; real pixels in [0, 1] are taken as their probabilities.

        Args:
            visible: ``(B, V)`` in [0, 1].
            hidden_inputs: What `hidden_inputs` gives for them, where it is known already.
        """
        inputs = self.hidden_inputs(visible) if hidden_inputs is None else hidden_inputs
        return -(visible @ self.visible_bias) - F.softplus(inputs).sum(dim=1)

    @torch.no_grad()
    def gibbs(
        self, visible: Tensor, steps: int, *, sample_visible: bool = True, hidden_inputs: Tensor | None = None
    ) -> Tensor:
        """Run block Gibbs sampling v → h → v and return the last visible states, ``(B, V)``.

        Args:
            visible: Where the chains begin, ``(B, V)`` in [0, 1].
            steps: Full steps, 0 or more.
            sample_visible: Whether the visible units are sampled or stand at their probabilities. The guide's
                section 3.2 lets contrastive divergence use probabilities; persistent chains must be sampled. Hidden
                units are always sampled.
            hidden_inputs: What `hidden_inputs` gives for the beginning, where it is known already.
        """
        inputs = hidden_inputs
        for _ in range(steps):
            inputs = self.hidden_inputs(visible) if inputs is None else inputs
            probabilities = self.visible_probabilities(torch.bernoulli(torch.sigmoid(inputs)))
            visible = torch.bernoulli(probabilities) if sample_visible else probabilities
            inputs = None
        return visible

    def contrastive_loss(self, data: Tensor, model: Tensor, hidden_inputs: Tensor | None = None) -> Tensor:
        """Return mean F(data) − mean F(model), a scalar whose gradient is that of contrastive divergence.

        Its derivative by W is −(⟨v E[h|v]⟩ of the data − ⟨v E[h|v]⟩ of the model's samples): hidden units enter by
        their probabilities in both phases. No gradient flows through the samples.

        Args:
            data: ``(B, V)`` in [0, 1].
            model: The chains' visible states, ``(C, V)``.
            hidden_inputs: What `hidden_inputs` gives for the data, where it is known already.
        """
        return self.free_energy(data, hidden_inputs).mean() - self.free_energy(model.detach()).mean()

    @torch.no_grad()
    def reconstruct(self, visible: Tensor) -> Tensor:
        """Return E[v | E[h | v]], ``(B, V)``: what one step up and down, without noise, makes of ``visible``."""
        return self.visible_probabilities(self.hidden_probabilities(visible))
