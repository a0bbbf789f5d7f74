"""What a trained member takes for what, and of what it is surest though wrong."""

from __future__ import annotations

import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from zoo.data.mnist import load_test_data
from zoo.figures.drawing import panels
from zoo.figures.writing import Row, Sheet
from zoo.models import Classifier

MISTAKES = 20


@torch.no_grad()
def draw(sheet: Sheet, name: str, model: Classifier) -> None:
    """Draw the confusion matrix on the 10,000 test images, and the mistakes with the highest probability.

    Args:
        sheet: Where the files go: ``confusion`` and ``confident_mistakes``.
        name: What the member is called.
        model: The member.
    """
    parts = [(images, model(images).softmax(dim=1), labels) for images, labels in load_test_data().test_dataloader()]
    images, probabilities, labels = (torch.cat(column) for column in zip(*parts, strict=True))
    matrix = multiclass_confusion_matrix(probabilities, labels, num_classes=10)
    figure, axes = panels(1, 1, size=(5.2, 4.8))
    place = axes[0, 0]
    place.grid(visible=False)
    mistaken = matrix.clone().fill_diagonal_(0)
    place.imshow(mistaken.numpy(), cmap="Blues", vmin=0)
    for label in range(10):
        for prediction in range(10):
            count = int(matrix[label, prediction])
            dark = int(mistaken[label, prediction]) > 0.6 * int(mistaken.max())
            color = "white" if dark else "black" if count else "0.7"
            place.text(prediction, label, str(count), ha="center", va="center", fontsize=8, color=color)
    place.set(xticks=range(10), yticks=range(10), xlabel="answer", ylabel="label")
    place.set_title(f"{name}: {int(mistaken.sum())} errors in {len(labels):,} test images", fontsize=10)
    rows = [[label, answer, int(matrix[label, answer])] for label in range(10) for answer in range(10)]
    sheet.write(figure, ["label", "answer", "images"], rows, "confusion")

    surest, answers = probabilities.max(dim=1)
    wrong = (answers != labels).nonzero()[:, 0]
    chosen = wrong[surest[wrong].argsort(descending=True)][:MISTAKES]
    figure, axes = panels(max(1, -(-len(chosen) // 10)), 10, size=(0.9, 1.15))
    for place in axes.flat:
        place.axis("off")
    mistakes: list[Row] = []
    for place, row in zip(axes.flat, chosen.tolist(), strict=False):
        place.imshow(images[row, 0].numpy(), cmap="gray_r", vmin=0, vmax=1)
        place.set_title(f"{labels[row]} taken for {answers[row]}\n{surest[row]:.4f}", fontsize=6.5)
        mistakes.append([row, int(labels[row]), int(answers[row]), float(surest[row])])
    figure.suptitle(f"{name}: the mistakes it is surest of, and their probability", fontsize=9)
    sheet.write(figure, ["row", "label", "answer", "probability"], mistakes, "confident_mistakes")
