"""What overfitting is, and what helps: weights kept small, dropout, distorted images, more images."""

from __future__ import annotations

from functools import partial
from typing import Any

from zoo.figures.drawing import curve, of_seeds, panels
from zoo.figures.training import progress, train
from zoo.figures.writing import COLOURS, Sheet
from zoo.models import MLP

IMAGES = 500
MORE_IMAGES = 5000
EPOCHS = 60
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    f"{IMAGES} images": ({}, {}),
    "L2, λ = 0.001": ({"l2": 0.001}, {}),
    "dropout of one half": ({"dropout": 0.5}, {}),
    "images distorted anew each epoch": ({}, {"augment": "affine_elastic"}),
    f"{MORE_IMAGES:,} images": ({}, {"num_train": MORE_IMAGES}),
}
"""Title to the net's arguments and the data's."""


def draw(sheet: Sheet) -> None:
    """Draw the accuracy on the images that are trained on and on those that are not, epoch by epoch."""
    found: dict[tuple[str, str], list[list[float]]] = {}
    rows = []
    for title, seed in progress([(title, seed) for title in SETTINGS for seed in sheet.seeds], "Overfitting"):
        model, data = SETTINGS[title]
        run = train(
            partial(MLP, [512, 512], **model),
            *(seed, EPOCHS),
            measure_training=True,
            **{"num_train": IMAGES, **data},
        )
        for split in ("training", "val"):
            found.setdefault((title, split), []).append([figures[f"{split}_acc"] for figures in run.curves])
        rows += [
            [title, seed, epoch, figures["training_acc"], figures["val_acc"]]
            for epoch, figures in enumerate(run.curves, start=1)
        ]
    figure, axes = panels(1, len(SETTINGS), size=(2.6, 3.0), sharey=True)
    epochs = range(1, EPOCHS + 1)
    for place, title in zip(axes.flat, SETTINGS, strict=True):
        curve(place, epochs, found[title, "training"], "training images", COLOURS[0])
        curve(place, epochs, found[title, "val"], "validation images", COLOURS[1])
        last = sum(run[-1] for run in found[title, "val"]) / len(sheet.seeds)
        place.annotate(f"{last:.3f}", (EPOCHS, last), ha="right", va="top", xytext=(0, -6), textcoords="offset points")
        place.set(xlabel="epoch", ylim=(0.8, 1.005))
        place.set_title(title, fontsize=9)
    axes[0, 0].set_ylabel("accuracy, without dropout or distortion")
    axes[0, 0].legend(frameon=False, loc="lower right", fontsize=8)
    figure.suptitle(f"784-512-512-10; {of_seeds(len(sheet.seeds))}", fontsize=10)
    sheet.write(figure, ["setting", "seed", "epoch", "train_accuracy", "val_accuracy"], rows, "overfitting")
