"""One optimization step of an RBM, which computes the gradient of contrastive divergence and no loss."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from zoo.rbm.bernoulli_rbm import BernoulliRBM
from zoo.rbm.contrastive_divergence import ContrastiveDivergence


class ContrastiveDivergenceStep:
    """A step of contrastive divergence, as `zoo.training.steps.Step` wants it.

    Args:
        visible_of: Maps a batch ``(images, …)`` to the visible states ``(B, V)``.
        rbm: The model.
        divergence: Its contrastive divergence.
        update: Makes the optimizer's step from the gradients.
        average: Returns the mean of a tensor over all processes.
    """

    def __init__(
        self,
        visible_of: Callable[[tuple[Tensor, ...]], Tensor],
        rbm: BernoulliRBM,
        divergence: ContrastiveDivergence,
        update: Callable[[], None],
        average: Callable[[Tensor], Tensor],
    ) -> None:
        self.visible_of = visible_of
        self.rbm = rbm
        self.divergence = divergence
        self.update = update
        self.average = average

    def __call__(self, batch: tuple[Tensor, ...]) -> dict[str, Tensor]:
        """Train on a batch.

        Returns:
            ``loss``: the norm of the hidden biases' gradient, in place of the loss, whose value means nothing. It is
            finite if all went well.
        """
        self.divergence.set_gradients(self.rbm, self.visible_of(batch), self.average)
        self.divergence.finish_gradients(self.rbm)
        with torch.no_grad():
            self.update()
        gradient = self.rbm.hidden_bias.grad
        assert gradient is not None
        return {"loss": gradient.norm()}
