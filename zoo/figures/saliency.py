"""Which pixels a network's answer depends on."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.data.mnist import load_test_data
from zoo.figures.drawing import panels
from zoo.figures.writing import FigureWriter, Row
from zoo.models import Classifier
from zoo.pretrained.evaluation import golden_images

SAMPLES = 50
NOISE = 0.15
"""Standard deviation of the noise, of pixels in [0, 1]."""


def smooth_gradient(model: Classifier, images: Tensor, classes: Tensor) -> Tensor:
    """Return the mean gradient of the log-probability of a class with respect to the pixels of noisy images.

    Smilkov et al., "SmoothGrad: removing noise by adding noise", 2017.

    Args:
        model: The network, in eval mode.
        images: ``(B, 1, 28, 28)`` in [0, 1].
        classes: The class of each image, int64 ``(B,)``.

    Returns:
        ``(B, 28, 28)``, in nats per unit of grey: positive where a darker pixel makes the class more probable.
    """
    generator = torch.Generator().manual_seed(0)
    total = torch.zeros_like(images)
    for _ in range(SAMPLES):
        noisy = images + NOISE * torch.randn(images.shape, generator=generator)
        noisy.requires_grad_()
        with torch.enable_grad():
            chosen = model(noisy).log_softmax(dim=1).gather(1, classes[:, None]).sum()
            total += torch.autograd.grad(chosen, noisy)[0]
    return (total / SAMPLES)[:, 0]


def draw(writer: FigureWriter, name: str, model: Classifier) -> None:
    """Draw, for an image of each digit, which pixels make the network's answer more and less probable.

    Args:
        writer: Writes the files ``saliency``.
        name: The network's name.
        model: The trained network.
    """
    images = golden_images(load_test_data())
    with torch.no_grad():
        answers = model(images).argmax(dim=1)
    gradients = smooth_gradient(model, images, answers)
    figure, axes = panels(2, len(images), size=(0.95, 1.0))
    rows: list[Row] = []
    for digit, (image, answer, gradient) in enumerate(zip(images, answers, gradients, strict=True)):
        # Each image has a scale of its own: where a network is sure, all gradients are small.
        limit = max(float(gradient.abs().max()), 1e-12)
        axes[0, digit].imshow(image[0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        axes[1, digit].imshow(gradient.numpy(), cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes[1, digit].contour(image[0].numpy(), levels=[0.5], colors="0.4", linewidths=0.5)
        axes[0, digit].set_title(f"answer {int(answer)}", fontsize=8)
        rows += [
            [digit, int(answer), row, column, float(gradient[row, column])] for row in range(28) for column in range(28)
        ]
    for ax in axes.flat:
        ax.axis("off")
    figure.suptitle(f"{name}. Red: a darker pixel makes the answer more probable. Blue: less probable.", fontsize=9)
    writer.write(figure, ["digit", "answer", "row", "column", "gradient"], rows, "saliency")
