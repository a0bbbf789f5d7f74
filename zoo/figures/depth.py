"""Validation accuracy against depth, with and without skip connections."""

from __future__ import annotations

from functools import partial

from zoo.figures.drawing import describe_seeds, panels, plot_runs
from zoo.figures.training import progress, train
from zoo.figures.writing import FigureWriter
from zoo.models import ResidualMLP
from zoo.utils.pictures import COLORS

DEPTHS = (2, 6, 10, 20, 30, 40, 50)
"""Numbers of layers with weights."""
UNITS = 100
IMAGES = 10_000
EPOCHS = 5
KINDS = {"residual: skip connection around every two layers": True, "plain": False}


def draw(writer: FigureWriter) -> None:
    """Draw the validation accuracy of plain and residual nets with 2 to 50 layers."""
    accuracies: dict[str, dict[int, list[float]]] = {kind: {seed: [] for seed in writer.seeds} for kind in KINDS}
    rows = []
    runs = [(kind, depth, seed) for kind in KINDS for depth in DEPTHS for seed in writer.seeds]
    for kind, depth, seed in progress(runs, "Depth"):
        run = train(
            partial(ResidualMLP, UNITS, (depth - 2) // 2, skip=KINDS[kind]),
            *(seed, EPOCHS),
            num_train=IMAGES,
        )
        accuracy = run.epoch_metrics[-1]["val_acc"]
        accuracies[kind][seed].append(accuracy)
        rows.append([kind, depth, seed, accuracy])
    figure, axes = panels(1, 1, size=(5.5, 3.6))
    for color, kind in zip(COLORS, KINDS, strict=False):
        plot_runs(axes[0, 0], DEPTHS, list(accuracies[kind].values()), kind, color, marker="o")
    axes[0, 0].set(xlabel="layers", ylabel=f"validation accuracy after {EPOCHS} epochs", ylim=(0, 1.02), xticks=DEPTHS)
    axes[0, 0].legend(frameon=False, loc="lower left")
    title = f"{UNITS} ReLU units a layer, {IMAGES:,} images, He; in residual blocks He/√blocks"
    axes[0, 0].set_title(f"{title}\n{describe_seeds(len(writer.seeds))}", fontsize=9)
    writer.write(figure, ["kind", "layers", "seed", "val_accuracy"], rows, "depth")
