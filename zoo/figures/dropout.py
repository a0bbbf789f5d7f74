"""Validation accuracy against the dropout rate."""

from __future__ import annotations

from functools import partial

from zoo.figures.drawing import describe_seeds, panels, plot_runs
from zoo.figures.training import progress, train
from zoo.figures.writing import FigureWriter
from zoo.models import MLP
from zoo.utils.pictures import COLORS

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
IMAGES = 5000
EPOCHS = 30


def draw(writer: FigureWriter) -> None:
    """Draw the validation accuracy of nets that differ only in their dropout rate."""
    accuracies: dict[int, list[float]] = {seed: [] for seed in writer.seeds}
    rows = []
    for rate, seed in progress([(rate, seed) for rate in RATES for seed in writer.seeds], "Dropout"):
        run = train(partial(MLP, [512, 512], dropout=rate), seed, EPOCHS, num_train=IMAGES)
        accuracies[seed].append(run.epoch_metrics[-1]["val_acc"])
        rows.append([rate, seed, run.epoch_metrics[-1]["val_acc"]])
    figure, axes = panels(1, 1, size=(5.5, 3.6))
    plot_runs(axes[0, 0], RATES, list(accuracies.values()), "784-512-512-10", COLORS[0], marker="o")
    axes[0, 0].set(
        xlabel="probability of dropping a hidden unit (1 − keep_prob)", ylabel="accuracy on 5,000 validation images"
    )
    axes[0, 0].set_title(
        f"784-512-512-10, {IMAGES:,} images, {EPOCHS} epochs\n{describe_seeds(len(writer.seeds))}", fontsize=9
    )
    writer.write(figure, ["dropout", "seed", "val_accuracy"], rows, "dropout")
