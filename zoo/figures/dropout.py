"""Training and validation error with and without dropout, and validation error against its rate."""

from __future__ import annotations

from functools import partial

from zoo.figures.drawing import describe_seeds, panels, plot_runs
from zoo.figures.training import progress, train
from zoo.figures.writing import FigureWriter, Row
from zoo.models import MLP
from zoo.utils.pictures import COLORS

RATES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
COMPARED = 0.5
"""The rate of the lecture, whose curves are drawn beside those without dropout."""
IMAGES = 5000
EPOCHS = 30

History = list[dict[str, float]]
"""The metrics of each epoch of a run."""


def draw(writer: FigureWriter) -> None:
    """Draw the errors of nets that differ only in their dropout rate, by epoch and at the end."""
    runs: dict[float, list[History]] = {rate: [] for rate in RATES}
    for rate, seed in progress([(rate, seed) for rate in RATES for seed in writer.seeds], "Dropout"):
        run = train(partial(MLP, [512, 512], dropout=rate), seed, EPOCHS, measure_training=True, num_train=IMAGES)
        runs[rate].append(run.epoch_metrics)  # the network and its images take much memory
    plot(writer, runs)


def plot(writer: FigureWriter, runs: dict[float, list[History]]) -> None:
    """Draw the figure from the metrics of the runs of each rate, in the order of the seeds."""
    rows: list[Row] = [
        [rate, seed, epoch, metrics["training_acc"], metrics["val_acc"]]
        for rate, histories in runs.items()
        for seed, history in zip(writer.seeds, histories, strict=True)
        for epoch, metrics in enumerate(history, start=1)
    ]
    figure, axes = panels(1, 2, size=(4.6, 3.8))
    curves, ends = axes[0]
    epochs = range(1, EPOCHS + 1)
    for rate, color in zip((0.0, COMPARED), COLORS, strict=False):
        name = f"dropout {rate:g}" if rate else "no dropout"
        plot_runs(curves, epochs, _errors(runs[rate], "val_acc"), f"{name}: validation images", color)
        plot_runs(
            curves, epochs, _errors(runs[rate], "training_acc"), f"{name}: training images", color, linestyle="--"
        )
    curves.set(xlabel="epoch", ylabel="error, %", ylim=(0, 12))
    curves.legend(fontsize=7)
    last = [[error[-1] for error in _errors(runs[rate], "val_acc")] for rate in RATES]
    plot_runs(ends, RATES, list(zip(*last, strict=True)), "", COLORS[2], marker="o")
    ends.set(
        xlabel="probability of dropping a hidden unit (1 − keep_prob)",
        ylabel=f"validation error after {EPOCHS} epochs, %",
    )
    figure.suptitle(
        f"784-512-512-10 on {IMAGES:,} images, {describe_seeds(len(writer.seeds))}",
        fontsize=9,
    )
    writer.write(figure, ["dropout", "seed", "epoch", "training_accuracy", "val_accuracy"], rows, "dropout")


def _errors(runs: list[History], metric: str) -> list[list[float]]:
    """Return the error in per cent after each epoch, for each run."""
    return [[100 * (1 - metrics[metric]) for metrics in history] for history in runs]
