"""Virtual adversarial training: a penalty on how much a prediction changes in the direction in which it changes most.

For an image x with the predicted probabilities p(x), the penalty is KL(p(x) ‖ p(x + r)). The perturbation r has the
length ε and points along the dominant eigenvector of H, the Hessian of that divergence with respect to r at r = 0. No
label is needed. Miyato, Maeda, Koyama, Nakae and Ishii, "Distributional smoothing with virtual adversarial training",
ICLR 2016; Miyato, Maeda, Koyama and Ishii, "Virtual adversarial training", IEEE TPAMI 2018.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.training.noise import without_dropout, without_running_averages
from zoo.training.onednn import constant_weights
from zoo.utils.autocast import full_precision
from zoo.utils.checks import check_counts, check_not_negative, check_positive

Forward = Callable[[Tensor], Tensor]
"""From images ``(…, 1, 28, 28)`` to logits ``(…, C)``."""

IMAGE = (-3, -2, -1)
"""The dimensions of one image."""


@dataclass(frozen=True)
class VirtualAdversarialTraining:
    """The penalty of virtual adversarial training and its settings.

    Args:
        weight: λ, what the penalty is multiplied by, 0 or more. 0 turns it off.
        epsilon: ε, the Euclidean length of the perturbation of an image with pixels in [0, 1], more than 0.
        xi: ξ, the Euclidean length of the step by which H·d is estimated, more than 0. The paper takes 1e-6. In single
            precision a step that small is lost in rounding: with three networks of the zoo the cosine between the
            estimate and the exact product was 0.1 to 0.2 on average, and 0.998 or more with 0.01.
        power_iterations: Steps of the power method, 0 or more. 0 leaves a random direction, the control in the paper.

    Raises:
        UsageError: A number is out of range.
    """

    weight: float = 0.0
    epsilon: float = 2.1
    xi: float = 0.01
    power_iterations: int = 1

    def __post_init__(self) -> None:
        check_not_negative(vat_weight=self.weight)
        check_positive(vat_epsilon=self.epsilon, xi=self.xi)
        check_counts(vat_power_iterations=self.power_iterations)

    def penalty(self, parts: Iterable[nn.Module], forward: Forward, images: Tensor, logits: Tensor) -> Tensor:
        """Return λ times the mean over the images of KL(p(x) ‖ p(x + r)) in nats, a scalar.

        No gradient flows through p(x) and r. The passes are made without dropout: p is the prediction of the whole
        network. Batch norm normalizes each pass by the statistics of that pass, as in the authors' code, and leaves its
        running averages alone. All passes are in full precision, because small differences of logits matter.

        Args:
            parts: The modules of the network.
            forward: The network.
            images: ``(…, 1, 28, 28)``.
            logits: What the network gave for these images in this step, ``(…, C)``.
        """
        parts = list(parts)
        is_mixed = torch.is_autocast_enabled(images.device.type)
        with full_precision(images), without_running_averages(parts), without_dropout(parts) as had_dropout:
            clean = logits.detach()
            if had_dropout or is_mixed:
                with torch.no_grad():
                    clean = forward(images)
            perturbed = forward(images + self.perturbation(forward, images, clean))
            target, found = clean.log_softmax(-1), perturbed.log_softmax(-1)
        divergences = F.kl_div(found, target, reduction="none", log_target=True).sum(-1)
        return self.weight * divergences.mean()

    def perturbation(self, forward: Forward, images: Tensor, logits: Tensor) -> Tensor:
        """Return r of each image, shaped as ``images``: of the length ε, or 0 where H·d is 0.

        Args:
            forward: The network, without dropout.
            images: ``(…, 1, 28, 28)``.
            logits: ``forward(images)`` without a graph, ``(…, C)``.
        """
        direction = _unit(torch.randn_like(images))
        for _ in range(self.power_iterations):
            direction = _unit(self._hessian_times(direction, forward, images, logits))
        return self.epsilon * direction

    def _hessian_times(self, direction: Tensor, forward: Forward, images: Tensor, logits: Tensor) -> Tensor:
        """Return ξ·H·d of each image, to the first order in ξ.

        H = Jᵀ(diag(p) − p·pᵀ)J, where J is the derivative of the logits: the divergence has its minimum at r = 0, so
        that second derivatives of the network have no share in it. One pass forward gives ξ·J·d as a difference of
        logits, and one pass back multiplies by Jᵀ. The gradient of the divergence itself, which the paper takes, is the
        same to the first order, but it subtracts probabilities that are almost equal.
        """
        step = (self.xi * direction).requires_grad_()
        with torch.enable_grad(), constant_weights():
            outputs = forward(images + step)
        change = outputs.detach() - logits
        # A constant added to all logits changes nothing. Without that of the most probable class, nothing of the order
        # of 1 remains to be cancelled where the network is certain.
        change = change - change.gather(-1, logits.argmax(-1, keepdim=True))
        probabilities = logits.softmax(-1)
        covariance_times_change = probabilities * (change - (probabilities * change).sum(-1, keepdim=True))
        product: Tensor = torch.autograd.grad(outputs, step, covariance_times_change)[0]
        return product


def _unit(vectors: Tensor) -> Tensor:
    """Return each image's vector with the Euclidean length 1; a vector of zeros stays one."""
    tiny = torch.finfo(vectors.dtype).tiny
    # First by the largest entry: squares of entries below 1e-19 are 0 in single precision.
    vectors = vectors / vectors.abs().amax(IMAGE, keepdim=True).clamp_min(tiny)
    lengths: Tensor = torch.linalg.vector_norm(vectors, dim=IMAGE, keepdim=True)
    return vectors / lengths.clamp_min(tiny)
