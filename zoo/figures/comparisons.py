"""Comparison of activation functions, each with a suitable weight initialization, and of optimizers."""

from __future__ import annotations

from functools import partial
from typing import Any

from zoo.figures.drawing import describe_seeds, panels, plot_runs
from zoo.figures.training import progress, train
from zoo.figures.writing import FigureWriter
from zoo.models import MLP
from zoo.utils.pictures import COLORS

IMAGES = 10_000
EPOCHS = 15
ACTIVATIONS: dict[str, dict[str, Any]] = {
    "sigmoid, Xavier": {"activation": "sigmoid", "weight_init": "xavier_uniform"},
    "tanh, Xavier": {"activation": "tanh", "weight_init": "xavier_uniform"},
    "ReLU, He": {"activation": "relu", "weight_init": "he_normal"},
    "leaky ReLU, He": {"activation": "leaky_relu", "weight_init": "he_normal"},
    "ELU, He": {"activation": "elu", "weight_init": "he_normal"},
    "SELU, LeCun": {"activation": "selu", "weight_init": "lecun_normal"},
    "maxout, Xavier": {"activation": "maxout", "weight_init": "xavier_uniform"},
}
"""Each activation with the weight initialization that its authors or theory recommend."""
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD, lr 0.1": {"optimizer": "sgd", "momentum": 0.0, "lr": 0.1},
    "SGD, momentum 0.9, lr 0.1": {"optimizer": "sgd", "momentum": 0.9, "lr": 0.1},
    "Adagrad, lr 0.01": {"optimizer": "adagrad", "lr": 0.01},
    "RMSprop, lr 0.001": {"optimizer": "rmsprop", "momentum": 0.0, "lr": 0.001},
    "Adam, lr 0.001": {"optimizer": "adam", "lr": 0.001},
    "AdamW, lr 0.001": {"optimizer": "adamw", "lr": 0.001, "weight_decay": 0.01},
}
"""Each optimizer with a common learning rate. None was tuned."""


def draw_activations(writer: FigureWriter) -> None:
    """Draw training loss and validation accuracy of a net with four hidden layers for each activation."""
    _draw(writer, ACTIVATIONS, [100] * 4, "784-100×4-10, Adam 0.001", "activations_compared")


def draw_optimizers(writer: FigureWriter) -> None:
    """Draw training loss and validation accuracy of the same net for each optimizer."""
    _draw(writer, OPTIMIZERS, [256, 256], "784-256-256-10, ReLU, Xavier", "optimizers_compared")


def _draw(writer: FigureWriter, settings: dict[str, dict[str, Any]], sizes: list[int], title: str, name: str) -> None:
    curves: dict[tuple[str, str], list[list[float]]] = {}
    rows = []
    for setting, seed in progress([(setting, seed) for setting in settings for seed in writer.seeds], name):
        run = train(partial(MLP, sizes, **settings[setting]), seed, EPOCHS, num_train=IMAGES)
        for metric in ("train_loss", "val_acc"):
            curves.setdefault((setting, metric), []).append([metrics[metric] for metrics in run.epoch_metrics])
        for epoch, metrics in enumerate(run.epoch_metrics, start=1):
            rows.append([setting, seed, epoch, metrics["train_loss"], metrics["val_acc"]])
    figure, axes = panels(1, 2)
    for ax, metric in zip(axes.flat, ("train_loss", "val_acc"), strict=True):
        for color, setting in zip(COLORS, settings, strict=False):
            plot_runs(ax, range(1, EPOCHS + 1), curves[setting, metric], setting, color)
        ax.set(xlabel="epoch")
    axes[0, 0].set(yscale="log", ylabel="training loss in nats")
    axes[0, 1].set(ylabel="validation accuracy")
    axes[0, 1].legend(frameon=False, loc="lower right", fontsize=8)
    figure.suptitle(f"{title}, {IMAGES:,} images, {describe_seeds(len(writer.seeds))}", fontsize=10)
    writer.write(figure, ["setting", "seed", "epoch", "train_loss", "val_accuracy"], rows, name)
