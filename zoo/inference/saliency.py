"""Which pixels a network's answer depends on."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.models import Classifier

SAMPLES = 50
NOISE = 0.15
"""Standard deviation of the noise, of pixels in [0, 1]."""
IMAGES_AT_ONCE = 100


def smooth_gradient(model: Classifier, images: Tensor, classes: Tensor, samples: int = SAMPLES) -> Tensor:
    """Return the mean gradient of the log-probability of a class with respect to the pixels of noisy images.

    Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.

    Args:
        model: The network, in eval mode.
        images: ``(B, 1, 28, 28)`` in [0, 1].
        classes: The class of each image, int64 ``(B,)``.
        samples: Number of noisy copies of each image, at least 1.

    Returns:
        ``(B, 28, 28)``, in nats per unit of grey: positive where a darker pixel makes the class more probable.
    """
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros_like(images)
    noises = [NOISE * torch.randn(images.shape, generator=generator) for _ in range(samples)]
    for part in torch.stack(noises).split(max(1, IMAGES_AT_ONCE // len(images))):
        noisy = (images + part).flatten(end_dim=1).requires_grad_()
        with torch.enable_grad():
            chosen = model(noisy).log_softmax(dim=1).gather(1, classes.repeat(len(part))[:, None]).sum()
            gradients = torch.autograd.grad(chosen, noisy)[0]
        total += gradients.view_as(part).sum(dim=0)
    return (total / samples)[:, 0]
