"""Contrastive divergence training of an RBM, with the updates of Hinton's guide.

Hinton, "A practical guide to training restricted Boltzmann machines", UTML TR 2010-003, sections 4 to 11.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.optim import SGD

from zoo.rbm.bernoulli_rbm import BernoulliRBM, sample
from zoo.rbm.partition_function import base_rate_bias
from zoo.utils.autocast import full_precision
from zoo.utils.checks import check_counts, check_not_negative
from zoo.utils.errors import UsageError

HIDDEN_MEAN_DECAY = 0.9
"""Decay of the moving average of a hidden unit's activation at each step (section 11 recommends 0.9 to 0.99)."""


def make_rbm_optimizer(rbms: Iterable[BernoulliRBM], lr: float, weight_cost: float, fused: bool = True) -> SGD:
    """Return an SGD optimizer whose weight decay applies to the weights, not the biases (section 10)."""
    groups: list[dict[str, object]] = []
    for rbm in rbms:
        groups.append({"params": [rbm.weight], "weight_decay": weight_cost})
        groups.append({"params": [rbm.visible_bias, rbm.hidden_bias], "weight_decay": 0.0})
    return SGD(groups, lr=lr, fused=fused)


def set_momentum(optimizer: SGD, momentum: float) -> None:
    """Set the momentum: low in the initial epochs, when gradients are large, and higher later (section 9)."""
    for group in optimizer.param_groups:
        group["momentum"] = momentum


def sparsity_loss(hidden_inputs: Tensor, hidden_mean: Tensor, target: float, sparsity_cost: float) -> Tensor:
    """Return the sparsity penalty, whose gradient for each hidden unit's input is sparsity_cost · (q − target).

    This is the gradient of the cross-entropy between the target and the actual mean activation (section 11). It applies
    to the hidden biases and the weights, not to the visible biases. The value of the penalty is not meaningful.

    Args:
        hidden_inputs: ``(B, H)``, with gradients.
        hidden_mean: q, the moving average of each hidden unit's activation, ``(H,)``.
        target: Target mean activation.
        sparsity_cost: Weight of the penalty.
    """
    return sparsity_cost * ((hidden_mean.detach() - target) * hidden_inputs.mean(dim=0)).sum()


@torch.no_grad()
def center_gradients(rbm: BernoulliRBM, visible_mean: Tensor, hidden_mean: Tensor) -> None:
    """Replace the gradients by those of the centered model, (v − μ)ᵀW(h − λ), in the original parametrization.

    The model itself does not change. Updates become invariant to flipping a pixel's two values. Montavon and Müller,
    "Deep Boltzmann machines and the centering trick", 2012; Melchior, Fischer and Wiskott, "How to center deep
    Boltzmann machines", JMLR 2016, section 3.

    Args:
        rbm: The model, with gradients.
        visible_mean: μ, ``(V,)``.
        hidden_mean: λ, ``(H,)``.

    Raises:
        UsageError: A parameter has no gradient.
    """
    weight, visible, hidden = (parameter.grad for parameter in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
    if weight is None or visible is None or hidden is None:
        raise UsageError("A centered RBM needs the gradients of all it has: freeze none of it, or set centred false.")
    weight -= torch.outer(visible_mean, hidden) + torch.outer(visible, hidden_mean)
    visible -= weight @ hidden_mean
    hidden -= visible_mean @ weight


class ContrastiveDivergence(nn.Module):
    """Contrastive divergence training of one RBM: the loss of each step, and the state between steps.

    Persistent chains (Tieleman, ICML 2008) start at the states of the first batch. They are not a buffer, because
    `DistributedDataParallel` broadcasts the buffers of the first process at each step. The parent module must save the
    `chains` of every process.

    Args:
        num_visible: V.
        num_hidden: H.
        gibbs_steps: k, the number of Gibbs steps in each update, at least 1.
        persistent: Whether the chains persist between updates (PCD-k) or start at the data in each update (CD-k).
        sample_visible: Whether each update sees newly sampled visible states or their probabilities.
        centred: Whether the gradients are centered (`center_gradients`).
        sparsity_target: Target mean activation of a hidden unit, 0 < t < 1; None disables the sparsity penalty.
        sparsity_cost: Weight of the sparsity penalty, 0 or more.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self,
        num_visible: int,
        num_hidden: int,
        gibbs_steps: int = 1,
        persistent: bool = False,
        sample_visible: bool = False,
        centred: bool = False,
        sparsity_target: float | None = None,
        sparsity_cost: float = 0.01,
    ) -> None:
        super().__init__()
        check_counts(least=1, gibbs_steps=gibbs_steps)
        if sparsity_target is not None and not 0 < sparsity_target < 1:
            raise UsageError(f"sparsity_target is {sparsity_target}, but a mean activity lies between 0 and 1.")
        check_not_negative(sparsity_cost=sparsity_cost)
        self.gibbs_steps = gibbs_steps
        self.persistent = persistent
        self.sample_visible = sample_visible
        self.centred = centred
        self.sparsity_target = sparsity_target
        self.sparsity_cost = sparsity_cost
        self.visible_mean: Tensor
        self.hidden_mean: Tensor
        self.begun: Tensor
        self.register_buffer("visible_mean", torch.full((num_visible,), 0.5))
        self.register_buffer("hidden_mean", torch.full((num_hidden,), 0.5))
        self.register_buffer("begun", torch.tensor(False))
        self.chains: Tensor | None = None

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> ContrastiveDivergence:
        """Move the chains together with the parameters and buffers."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.chains is not None:
            self.chains = fn(self.chains)
        return self

    @torch.no_grad()
    def initialize(self, rbm: BernoulliRBM, visible_mean: Tensor) -> None:
        """Initialize the visible biases to the log-odds of the units' means, and set ``begun`` (section 8).

        Args:
            rbm: The model.
            visible_mean: The mean of each visible unit over the training data, ``(V,)``. The log-odds are clipped, so
                the bias of a unit that is never on is finite.
        """
        self.visible_mean.copy_(visible_mean)
        rbm.visible_bias.copy_(base_rate_bias(visible_mean))
        self.begun.fill_(True)

    def loss(self, rbm: BernoulliRBM, visible: Tensor, average: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a scalar loss whose gradient is that of the update; its value is not meaningful.

        Args:
            rbm: The model.
            visible: A batch of the training data, ``(B, V)`` in [0, 1].
            average: Returns the mean of a tensor over all processes.
        """
        with full_precision(visible):
            return self._loss(rbm, visible.to(rbm.weight.dtype), average)

    def finish_gradients(self, rbm: BernoulliRBM) -> None:
        """Center the gradients, if ``centred`` is set; call this after they are averaged over all processes."""
        if self.centred:
            with full_precision(self.visible_mean):  # a DBN's training step runs within autocast
                center_gradients(rbm, self.visible_mean, self.hidden_mean)

    def distribute_chains(self, chains: list[Tensor], rank: int, world_size: int) -> None:
        """Set this process's share of the chains of an interrupted training.

        If the number of processes is unchanged, every process gets the chains that it had.

        Args:
            chains: The chains of each process of the interrupted training, ``(C, V)``.
            rank: The rank of this process.
            world_size: The current number of processes.

        Raises:
            UsageError: The chains do not have the shape of this model's visible states.
        """
        if not self.persistent or not chains:
            return
        if any(states.dim() != 2 or states.shape[1] != len(self.visible_mean) for states in chains):
            raise UsageError("The checkpoint's chains are damaged: take another copy of it, or the one before.")
        self.chains = torch.cat(chains).tensor_split(world_size)[rank].to(self.visible_mean.device)

    def set_gradients(self, rbm: BernoulliRBM, visible: Tensor, average: Callable[[Tensor], Tensor]) -> None:
        """Set each parameter's ``grad`` to the gradient of `loss`, faster than by a backward pass.

        Args:
            rbm: The model.
            visible: A batch of the training data, ``(B, V)`` in [0, 1].
            average: Returns the mean of a tensor over all processes.
        """
        with full_precision(visible):
            visible = visible.to(rbm.weight.dtype)
            if self.sparsity_target is None:
                data, states, inputs = self._sample(rbm, visible)
                rbm.set_contrastive_gradients(data, states, inputs)
                self._update_hidden_mean(inputs, average)
            else:
                for parameter in rbm.parameters():
                    parameter.grad = None
                self._loss(rbm, visible, average).backward()

    def _loss(self, rbm: BernoulliRBM, visible: Tensor, average: Callable[[Tensor], Tensor]) -> Tensor:
        data, states, inputs = self._sample(rbm, visible)
        loss = rbm.contrastive_loss(data, states, inputs.detach())
        self._update_hidden_mean(inputs, average)
        if self.sparsity_target is not None:
            loss = loss + sparsity_loss(inputs, self.hidden_mean, self.sparsity_target, self.sparsity_cost)
        return loss

    def _sample(self, rbm: BernoulliRBM, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the visible states of the data and of the model, and the hidden inputs of the data."""
        data = sample(visible) if self.sample_visible else visible
        with torch.set_grad_enabled(self.sparsity_target is not None):
            inputs = rbm.hidden_inputs(data)
        if self.persistent:
            initial_states = sample(visible) if self.chains is None else self.chains.to(visible)
            states = rbm.gibbs(initial_states, self.gibbs_steps)
            if self.chains is None or self.chains.dtype != states.dtype or self.chains.device != states.device:
                self.chains = states
            else:
                self.chains.copy_(states)  # in place, because a captured step finds them where they were
        else:
            # The reconstruction uses probabilities, which have less sampling noise (section 3.2).
            states = rbm.gibbs(data, self.gibbs_steps, sample_visible=False, hidden_inputs=inputs)
        return data, states, inputs

    def _update_hidden_mean(self, inputs: Tensor, average: Callable[[Tensor], Tensor]) -> None:
        """Update the moving average of the hidden units' activations, if it is used."""
        if self.centred or self.sparsity_target is not None:
            mean = average(torch.sigmoid(inputs.detach()).mean(dim=0))
            self.hidden_mean.lerp_(mean, 1 - HIDDEN_MEAN_DECAY)
