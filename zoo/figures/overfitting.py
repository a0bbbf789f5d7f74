"""Overfitting and its remedies: L2 regularization, dropout, augmentation and more images."""

from __future__ import annotations

from functools import partial
from typing import Any

from zoo.figures.drawing import describe_seeds, panels, plot_runs
from zoo.figures.training import progress, train
from zoo.figures.writing import FigureWriter
from zoo.models import MLP
from zoo.utils.pictures import COLORS

IMAGES = 500
MORE_IMAGES = 5000
EPOCHS = 60
SETTINGS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    f"{IMAGES} images": ({}, {}),
    "L2, λ = 0.001": ({"l2": 0.001}, {}),
    "dropout of one half": ({"dropout": 0.5}, {}),
    "augmented images": ({}, {"augment": "affine_elastic"}),
    f"{MORE_IMAGES:,} images": ({}, {"num_train": MORE_IMAGES}),
}
"""Title: arguments of the net, arguments of the data module."""


def draw(writer: FigureWriter) -> None:
    """Draw the accuracy on the training and the validation images after each epoch."""
    accuracies: dict[tuple[str, str], list[list[float]]] = {}
    rows = []
    for title, seed in progress([(title, seed) for title in SETTINGS for seed in writer.seeds], "Overfitting"):
        model, data = SETTINGS[title]
        run = train(
            partial(MLP, [512, 512], **model),
            *(seed, EPOCHS),
            measure_training=True,
            **{"num_train": IMAGES, **data},
        )
        for split in ("training", "val"):
            accuracies.setdefault((title, split), []).append([metrics[f"{split}_acc"] for metrics in run.epoch_metrics])
        rows += [
            [title, seed, epoch, metrics["training_acc"], metrics["val_acc"]]
            for epoch, metrics in enumerate(run.epoch_metrics, start=1)
        ]
    figure, axes = panels(1, len(SETTINGS), size=(2.6, 3.0), sharey=True)
    epochs = range(1, EPOCHS + 1)
    for ax, title in zip(axes.flat, SETTINGS, strict=True):
        plot_runs(ax, epochs, accuracies[title, "training"], "training images", COLORS[0])
        plot_runs(ax, epochs, accuracies[title, "val"], "validation images", COLORS[1])
        last = sum(run[-1] for run in accuracies[title, "val"]) / len(writer.seeds)
        box = {"facecolor": "white", "edgecolor": "none", "pad": 1}
        place = {"ha": "right", "va": "top", "xytext": (0, -8), "textcoords": "offset points", "bbox": box}
        ax.annotate(f"{last:.3f}", (EPOCHS, last), **place)
        ax.set(xlabel="epoch", ylim=(0.8, 1.005))
        ax.set_title(title, fontsize=9)
    axes[0, 0].set_ylabel("accuracy,\nwithout dropout or augmentation")
    axes[0, 0].legend(frameon=False, loc="lower right", fontsize=8)
    figure.suptitle(f"784-512-512-10; {describe_seeds(len(writer.seeds))}", fontsize=10)
    writer.write(figure, ["setting", "seed", "epoch", "train_accuracy", "val_accuracy"], rows, "overfitting")
