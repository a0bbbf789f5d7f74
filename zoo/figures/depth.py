"""What a way around is good for: accuracy against depth, with and without."""

from __future__ import annotations

from functools import partial

from zoo.figures.drawing import curve, of_seeds, panels
from zoo.figures.training import progress, train
from zoo.figures.writing import COLOURS, Sheet
from zoo.models import ResidualMLP

DEPTHS = (2, 6, 10, 20, 30, 40, 50)
"""Layers with weights."""
UNITS = 100
IMAGES = 10_000
EPOCHS = 5
KINDS = {"residual: forwarded past every two layers": True, "plain": False}


def draw(sheet: Sheet) -> None:
    """Draw the validation accuracy of plain and residual nets of 2 to 50 layers."""
    accuracies: dict[str, dict[int, list[float]]] = {kind: {seed: [] for seed in sheet.seeds} for kind in KINDS}
    rows = []
    trainings = [(kind, depth, seed) for kind in KINDS for depth in DEPTHS for seed in sheet.seeds]
    for kind, depth, seed in progress(trainings, "Depth"):
        run = train(
            partial(ResidualMLP, UNITS, (depth - 2) // 2, skip=KINDS[kind]),
            *(seed, EPOCHS),
            num_train=IMAGES,
        )
        accuracy = run.curves[-1]["val_acc"]
        accuracies[kind][seed].append(accuracy)
        rows.append([kind, depth, seed, accuracy])
    figure, axes = panels(1, 1, size=(5.5, 3.6))
    for color, kind in zip(COLOURS, KINDS, strict=False):
        curve(axes[0, 0], DEPTHS, list(accuracies[kind].values()), kind, color, marker="o")
    axes[0, 0].set(xlabel="layers", ylabel=f"validation accuracy after {EPOCHS} epochs", ylim=(0, 1.02), xticks=DEPTHS)
    axes[0, 0].legend(frameon=False, loc="lower left")
    title = f"{UNITS} ReLU units a layer, {IMAGES:,} images, He; in residual blocks He/√blocks"
    axes[0, 0].set_title(f"{title}\n{of_seeds(len(sheet.seeds))}", fontsize=9)
    sheet.write(figure, ["kind", "layers", "seed", "val_accuracy"], rows, "depth")
