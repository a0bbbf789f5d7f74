"""The restricted Boltzmann machine as a distribution: energies, conditionals, Gibbs sampling.

E(v, h) = −a·v − b·h − vᵀWh over binary v and h. Summing h out gives the free energy
F(v) = −a·v − Σ_j softplus(b_j + (vW)_j), with p(v) = e^{−F(v)} / Z. Smolensky 1986; Hinton, "Training products of
experts by minimizing contrastive divergence", Neural Computation 2002; Hinton, "A practical guide to training
restricted Boltzmann machines", 2010.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.utils.autocast import full_precision


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
            probabilities = self.visible_probabilities(sample(torch.sigmoid(inputs)))
            visible = sample(probabilities) if sample_visible else probabilities
            inputs = None
        return visible

    def contrastive_loss(self, data: Tensor, model: Tensor, hidden_inputs: Tensor | None = None) -> Tensor:
        """Return mean F(data) − mean F(model), a scalar whose gradient is that of contrastive divergence.

        Its derivative by W is −(⟨v E[h|v]⟩ of the data − ⟨v E[h|v]⟩ of the model's samples): hidden units enter by
        their probabilities in both phases. No gradient flows through the samples.

        Args:
            data: ``(B, V)`` in [0, 1].
            model: The chains' visible states, ``(C, V)``.
            hidden_inputs: What `hidden_inputs` gives for the data, where it is known already; no gradient flows
                through it.
        """
        parameters = (self.weight, self.visible_bias, self.hidden_bias)
        loss: Tensor = _ContrastiveLoss.apply(*parameters, data.detach(), model.detach(), hidden_inputs)
        return loss

    @torch.no_grad()
    def set_contrastive_gradients(self, data: Tensor, model: Tensor, hidden_inputs: Tensor) -> None:
        """Set each parameter's ``grad`` to that of `contrastive_loss`, whose value means nothing and is left out.

        Args:
            data: ``(B, V)`` in [0, 1].
            model: The chains' visible states, ``(C, V)``.
            hidden_inputs: What `hidden_inputs` gives for the data.
        """
        gradients = _contrastive_gradients(1.0, data, model, hidden_inputs, self.hidden_inputs(model))
        self.weight.grad, self.visible_bias.grad, self.hidden_bias.grad = gradients

    @torch.no_grad()
    def reconstruct(self, visible: Tensor) -> Tensor:
        """Return E[v | E[h | v]], ``(B, V)``: what one step up and down, without noise, makes of ``visible``."""
        return self.visible_probabilities(self.hidden_probabilities(visible))


def sample(probabilities: Tensor) -> Tensor:
    """Return 1 with these probabilities and else 0: `torch.bernoulli`'s own numbers, in a third of the time."""
    return (torch.rand_like(probabilities) < probabilities).to(probabilities.dtype)


class _ContrastiveLoss(torch.autograd.Function):
    """The loss with its gradient written out: a step takes four fifths of what it takes autograd to find it.

    The gradient is autograd's bit for bit, as a test asserts.
    """

    @staticmethod
    def forward(
        ctx: Any,
        weight: Tensor,
        visible_bias: Tensor,
        hidden_bias: Tensor,
        data: Tensor,
        model: Tensor,
        data_inputs: Tensor | None,
    ) -> Tensor:
        """Return mean F(data) − mean F(model)."""
        if data_inputs is None:
            data_inputs = F.linear(data, weight.T, hidden_bias)
        model_inputs = F.linear(model, weight.T, hidden_bias)
        ctx.save_for_backward(data, model, data_inputs.detach(), model_inputs)
        energies = (
            -((states @ visible_bias).sum() + _softplus(inputs).sum()) / len(states)
            for states, inputs in ((data, data_inputs), (model, model_inputs))
        )
        of_data, of_model = energies
        return of_data - of_model

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor | None, ...]:
        """Return the derivatives by the weights and biases."""
        (gradient,) = gradients
        data, *_ = ctx.saved_tensors
        with full_precision(data):  # a step that goes backwards by itself does so within mixed precision
            return *_contrastive_gradients(gradient, *ctx.saved_tensors), None, None, None


def _contrastive_gradients(
    gradient: Tensor | float, data: Tensor, model: Tensor, data_inputs: Tensor, model_inputs: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The derivatives of the loss by the weights, the visible and the hidden biases, times that of what follows it."""
    # One number for each row, as autograd has them: where rows end decides how the last digits are rounded.
    shares = [
        torch.ones(len(states), dtype=data.dtype, device=data.device).mul_(sign * gradient / len(states))
        for sign, states in ((-1, data), (1, model))
    ]
    of_data, of_model = (
        torch.ops.aten.softplus_backward(share.unsqueeze(1).expand_as(inputs), inputs, 1, 20)
        for share, inputs in zip(shares, (data_inputs, model_inputs), strict=True)
    )
    by_weight = (data.T @ of_data).addmm_(model.T, of_model)
    by_visible = data.T @ shares[0] + model.T @ shares[1]
    return by_weight, by_visible, of_data.sum(dim=0) + of_model.sum(dim=0)


def _softplus(inputs: Tensor) -> Tensor:
    """Return log(1 + e^x), precise to 1e-6; torch's own is more so where it is small, and takes twice as long."""
    return inputs.abs().neg_().exp_().add_(1).log_().add_(inputs.clamp(min=0))
