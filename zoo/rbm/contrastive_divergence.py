"""How an RBM is trained: the update of Hinton's guide, in torch's terms.

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
"""Of a hidden unit's mean activity, how much is kept at each step (section 11 has 0.9 to 0.99)."""


def make_rbm_optimizer(rbms: Iterable[BernoulliRBM], lr: float, weight_cost: float, fused: bool = True) -> SGD:
    """Return gradient descent with momentum, its weight cost on the weights and not on the biases (section 10)."""
    groups: list[dict[str, object]] = []
    for rbm in rbms:
        groups.append({"params": [rbm.weight], "weight_decay": weight_cost})
        groups.append({"params": [rbm.visible_bias, rbm.hidden_bias], "weight_decay": 0.0})
    return SGD(groups, lr=lr, fused=fused)


def set_momentum(optimizer: SGD, momentum: float) -> None:
    """Set the momentum: low at the beginning, when gradients are large, and then higher (section 9)."""
    for group in optimizer.param_groups:
        group["momentum"] = momentum


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

    Raises:
        UsageError: A parameter has no gradient.
    """
    weight, visible, hidden = (p.grad for p in (rbm.weight, rbm.visible_bias, rbm.hidden_bias))
    if weight is None or visible is None or hidden is None:
        raise UsageError("A centred RBM needs the gradients of all it has: freeze none of it, or set centred false.")
    weight -= torch.outer(visible_mean, hidden) + torch.outer(visible, hidden_mean)
    visible -= weight @ hidden_mean
    hidden -= visible_mean @ weight


class ContrastiveDivergence(nn.Module):
    """How an RBM of one layer is trained: the loss of each step, and what must be remembered between steps.

    Persistent chains (Tieleman, ICML 2008) begin at the first batch's states. They are no buffer:
    `DistributedDataParallel` would give every process the chains of the first at each step. Who owns this module
    saves `chains` for every process.

    Args:
        num_visible: V.
        num_hidden: H.
        gibbs_steps: k, the steps of Gibbs sampling in each update, at least 1.
        persistent: Whether the chains go on from update to update (PCD-k) or begin at the data each time (CD-k).
        sample_visible: Whether each update sees visible states sampled anew from their probabilities, or those.
        centred: Whether gradients are centred (`centre_gradients`).
        sparsity_target: The wanted mean activity of a hidden unit, 0 < t < 1; None means any.
        sparsity_cost: How much that counts, 0 or more.

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

    @torch.no_grad()
    def begin(self, rbm: BernoulliRBM, visible_mean: Tensor) -> None:
        """Let the visible biases say how often each unit is on, so that the weights need not (section 8).

        Args:
            rbm: The model.
            visible_mean: The mean of each visible unit over the training data, ``(V,)``; one that is never on gets a
                large negative bias and no infinite one.
        """
        self.visible_mean.copy_(visible_mean)
        rbm.visible_bias.copy_(base_rate_bias(visible_mean))
        self.begun.fill_(True)

    def loss(self, rbm: BernoulliRBM, visible: Tensor, average: Callable[[Tensor], Tensor]) -> Tensor:
        """Return a scalar whose gradient is the update's direction; its value means nothing.

        Args:
            rbm: The model.
            visible: A batch of the training data, ``(B, V)`` in [0, 1].
            average: Returns the mean of a tensor over all processes.
        """
        with full_precision(visible):
            return self._loss(rbm, visible.to(rbm.weight.dtype), average)

    def finish_gradients(self, rbm: BernoulliRBM) -> None:
        """Centre the gradients, if that is asked for; to be called when they are those of all processes."""
        if self.centred:
            with full_precision(self.visible_mean):  # a DBN's step is made within mixed precision
                centre_gradients(rbm, self.visible_mean, self.hidden_mean)

    def share_chains(self, chains: list[Tensor], rank: int, processes: int) -> None:
        """Take this process's share of all processes' chains; as many processes as before have the same as before.

        Args:
            chains: Of every process that there was, ``(C, V)``; none of them is left out.
            rank: This process, of those that there are now.
            processes: How many there are now.

        Raises:
            UsageError: They are no visible states of this model.
        """
        if not self.persistent or not chains:
            return
        if any(each.dim() != 2 or each.shape[1] != len(self.visible_mean) for each in chains):
            raise UsageError("The checkpoint's chains are damaged: take another copy of it, or the one before.")
        self.chains = torch.cat(chains).tensor_split(processes)[rank].to(self.visible_mean.device)

    def set_gradients(self, rbm: BernoulliRBM, visible: Tensor, average: Callable[[Tensor], Tensor]) -> None:
        """Set the parameters' ``grad`` to that of `loss`, as one backward pass would, but faster.

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
                self._remember(inputs, average)
            else:
                for parameter in rbm.parameters():
                    parameter.grad = None
                self._loss(rbm, visible, average).backward()

    def _loss(self, rbm: BernoulliRBM, visible: Tensor, average: Callable[[Tensor], Tensor]) -> Tensor:
        data, states, inputs = self._sample(rbm, visible)
        loss = rbm.contrastive_loss(data, states, inputs.detach())
        self._remember(inputs, average)
        if self.sparsity_target is not None:
            loss = loss + sparsity_loss(inputs, self.hidden_mean, self.sparsity_target, self.sparsity_cost)
        return loss

    def _sample(self, rbm: BernoulliRBM, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The data's visible states, the model's, and the data's hidden inputs."""
        data = sample(visible) if self.sample_visible else visible
        with torch.set_grad_enabled(self.sparsity_target is not None):
            inputs = rbm.hidden_inputs(data)
        if self.persistent:
            begin = sample(visible) if self.chains is None else self.chains.to(visible)
            self.chains = states = rbm.gibbs(begin, self.gibbs_steps)
        else:
            # The reconstruction stands at its probabilities, which have less noise (section 3.2).
            states = rbm.gibbs(data, self.gibbs_steps, sample_visible=False, hidden_inputs=inputs)
        return data, states, inputs

    def _remember(self, inputs: Tensor, average: Callable[[Tensor], Tensor]) -> None:
        """Let the hidden units' mean activity follow a batch's."""
        if self.centred or self.sparsity_target is not None:
            mean = average(torch.sigmoid(inputs.detach()).mean(dim=0))
            self.hidden_mean.lerp_(mean, 1 - HIDDEN_MEAN_DECAY)
