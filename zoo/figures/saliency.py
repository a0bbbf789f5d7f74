"""Which pixels a network's answer depends on."""

from __future__ import annotations

import torch

from zoo.data.mnist import load_test_data
from zoo.figures.drawing import panels
from zoo.figures.writing import FigureWriter, Row
from zoo.inference.saliency import smooth_gradient
from zoo.models import Classifier
from zoo.pretrained.evaluation import golden_images


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
