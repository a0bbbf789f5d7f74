"""How much dropout: accuracy against the rate."""

from __future__ import annotations

from functools import partial

from zoo.figures.drawing import curve, of_seeds, panels
from zoo.figures.training import progress, train
from zoo.figures.writing import COLOURS, Sheet
from zoo.models import MLP

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
IMAGES = 5000
EPOCHS = 30


def draw(sheet: Sheet) -> None:
    """Draw the validation accuracy of nets that differ by the rate alone."""
    accuracies: dict[int, list[float]] = {seed: [] for seed in sheet.seeds}
    rows = []
    for rate, seed in progress([(rate, seed) for rate in RATES for seed in sheet.seeds], "Dropout"):
        run = train(partial(MLP, [512, 512], dropout=rate), seed, EPOCHS, num_train=IMAGES)
        accuracies[seed].append(run.curves[-1]["val_acc"])
        rows.append([rate, seed, run.curves[-1]["val_acc"]])
    figure, axes = panels(1, 1, size=(5.5, 3.6))
    curve(axes[0, 0], RATES, list(accuracies.values()), "784-512-512-10", COLOURS[0], marker="o")
    axes[0, 0].set(
        xlabel="probability of dropping a hidden unit (1 − keep_prob)", ylabel="accuracy on 5,000 validation images"
    )
    axes[0, 0].set_title(
        f"784-512-512-10, {IMAGES:,} images, {EPOCHS} epochs\n{of_seeds(len(sheet.seeds))}", fontsize=9
    )
    sheet.write(figure, ["dropout", "seed", "val_accuracy"], rows, "dropout")
