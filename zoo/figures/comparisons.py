"""Activations beside each other, each with the initial values that suit it, and optimizers."""

from __future__ import annotations

from functools import partial
from typing import Any

from zoo.figures.drawing import curve, of_seeds, panels
from zoo.figures.training import progress, train
from zoo.figures.writing import COLOURS, Sheet
from zoo.models import MLP

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
"""Each with the initial values that its inventors, or the theory, ask for."""
OPTIMIZERS: dict[str, dict[str, Any]] = {
    "SGD, lr 0.1": {"optimizer": "sgd", "momentum": 0.0, "lr": 0.1},
    "SGD, momentum 0.9, lr 0.1": {"optimizer": "sgd", "momentum": 0.9, "lr": 0.1},
    "Adagrad, lr 0.01": {"optimizer": "adagrad", "lr": 0.01},
    "RMSprop, lr 0.001": {"optimizer": "rmsprop", "momentum": 0.0, "lr": 0.001},
    "Adam, lr 0.001": {"optimizer": "adam", "lr": 0.001},
    "AdamW, lr 0.001": {"optimizer": "adamw", "lr": 0.001, "weight_decay": 0.01},
}
"""Each at a usual learning rate; none was tuned."""


def draw_activations(sheet: Sheet) -> None:
    """Draw cost and validation accuracy of a net of four hidden layers with each activation."""
    _draw(sheet, ACTIVATIONS, [100] * 4, "784-100×4-10, Adam 0.001", "activations_compared")


def draw_optimizers(sheet: Sheet) -> None:
    """Draw cost and validation accuracy of one net with each optimizer."""
    _draw(sheet, OPTIMIZERS, [256, 256], "784-256-256-10, ReLU, Xavier", "optimizers_compared")


def _draw(sheet: Sheet, settings: dict[str, dict[str, Any]], sizes: list[int], title: str, name: str) -> None:
    found: dict[tuple[str, str], list[list[float]]] = {}
    rows = []
    for setting, seed in progress([(one, seed) for one in settings for seed in sheet.seeds], name):
        run = train(partial(MLP, sizes, **settings[setting]), seed, EPOCHS, num_train=IMAGES)
        for figure_name in ("train_loss", "val_acc"):
            found.setdefault((setting, figure_name), []).append([each[figure_name] for each in run.curves])
        for epoch, each in enumerate(run.curves, start=1):
            rows.append([setting, seed, epoch, each["train_loss"], each["val_acc"]])
    figure, axes = panels(1, 2)
    for place, figure_name in zip(axes.flat, ("train_loss", "val_acc"), strict=True):
        for color, setting in zip(COLOURS, settings, strict=False):
            curve(place, range(1, EPOCHS + 1), found[setting, figure_name], setting, color)
        place.set(xlabel="epoch")
    axes[0, 0].set(yscale="log", ylabel="training cost in nats")
    axes[0, 1].set(ylabel="validation accuracy")
    axes[0, 1].legend(frameon=False, loc="lower right", fontsize=8)
    figure.suptitle(f"{title}, {IMAGES:,} images, {of_seeds(len(sheet.seeds))}", fontsize=10)
    sheet.write(figure, ["setting", "seed", "epoch", "train_cost", "val_accuracy"], rows, name)
