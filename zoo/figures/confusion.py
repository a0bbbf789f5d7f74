"""Confusion matrix and most confident errors of a trained member."""

from __future__ import annotations

import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from zoo.data.mnist import load_test_data
from zoo.figures.drawing import panels
from zoo.figures.writing import FigureWriter, Row
from zoo.models import Classifier

NUM_ERRORS = 20


@torch.no_grad()
def draw(writer: FigureWriter, name: str, model: Classifier) -> None:
    """Draw the confusion matrix on the 10,000 test images and the errors with the highest predicted probability.

    Args:
        writer: Writes the files ``confusion`` and ``confident_mistakes``.
        name: The member's name.
        model: The trained network.
    """
    batches = [(images, model(images).softmax(dim=1), labels) for images, labels in load_test_data().test_dataloader()]
    images, probabilities, labels = (torch.cat(column) for column in zip(*batches, strict=True))
    matrix = multiclass_confusion_matrix(probabilities, labels, num_classes=10)
    figure, axes = panels(1, 1, size=(5.2, 4.8))
    ax = axes[0, 0]
    ax.grid(visible=False)
    errors = matrix.clone().fill_diagonal_(0)
    ax.imshow(errors.numpy(), cmap="Blues", vmin=0)
    for label in range(10):
        for prediction in range(10):
            count = int(matrix[label, prediction])
            dark = int(errors[label, prediction]) > 0.6 * int(errors.max())
            color = "white" if dark else "black" if count else "0.7"
            ax.text(prediction, label, str(count), ha="center", va="center", fontsize=8, color=color)
    ax.set(xticks=range(10), yticks=range(10), xlabel="prediction", ylabel="label")
    ax.set_title(f"{name}: {int(errors.sum())} errors in {len(labels):,} test images", fontsize=10)
    rows = [[label, prediction, int(matrix[label, prediction])] for label in range(10) for prediction in range(10)]
    writer.write(figure, ["label", "prediction", "images"], rows, "confusion")

    confidences, predictions = probabilities.max(dim=1)
    wrong = (predictions != labels).nonzero()[:, 0]
    most_confident = wrong[confidences[wrong].argsort(descending=True)][:NUM_ERRORS]
    figure, axes = panels(max(1, -(-len(most_confident) // 10)), 10, size=(0.9, 1.15))
    for ax in axes.flat:
        ax.axis("off")
    error_rows: list[Row] = []
    for ax, row in zip(axes.flat, most_confident.tolist(), strict=False):
        ax.imshow(images[row, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        ax.set_title(f"{labels[row]} predicted as {predictions[row]}\n{confidences[row]:.4f}", fontsize=6.5)
        error_rows.append([row, int(labels[row]), int(predictions[row]), float(confidences[row])])
    figure.suptitle(f"{name}: most confident errors, with predicted probability", fontsize=9)
    writer.write(figure, ["row", "label", "prediction", "probability"], error_rows, "confident_mistakes")
