"""The answers of two networks to the XOR problem in the course of their training."""

from __future__ import annotations

from typing import Any

import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from torch import Tensor

from zoo.data.xor import INPUTS, LABELS, XORDataModule
from zoo.figures.training import fit
from zoo.figures.writing import FigureWriter, Row
from zoo.models import XORNet

NETWORKS: dict[str, tuple[int, ...]] = {"no hidden layer, 2-1": (), "two hidden layers, 2-5-4-1": (5, 4)}
STAGES = (0, 4, 5, 6, 7, 25)
"""Epochs after which the answers are drawn."""
STEPS_PER_EPOCH = 20
EDGES = (-0.25, 1.25)
"""The range of both inputs."""
POINTS = 61
"""Points in each direction."""


class _Answers(Callback):
    """Keeps a network's probabilities at some inputs before the training and after each epoch."""

    def __init__(self, inputs: Tensor) -> None:
        self.inputs = inputs
        self.probabilities: list[Tensor] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._keep(pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._keep(pl_module)

    @torch.no_grad()
    def _keep(self, model: LightningModule) -> None:
        self.probabilities.append(model(self.inputs).sigmoid())


def draw(writer: FigureWriter) -> None:
    """Draw the probability of 1 over the plane of both inputs, with and without hidden layers."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2.1 * len(STAGES) + 0.8, 4.9), layout="constrained")
    axes = figure.subplots(len(NETWORKS), len(STAGES), sharex=True, sharey=True)
    rows: list[Row] = []
    shown: Any = None
    for stage, ax in zip(STAGES, axes[0], strict=True):
        ax.set_title(f"{stage * STEPS_PER_EPOCH:,} steps", fontsize=10)
    for ax in axes[-1]:
        ax.set_xlabel("first input", fontsize=9)
    for line, (name, sizes) in zip(axes, NETWORKS.items(), strict=True):
        probabilities = probabilities_in_training(sizes, writer.seeds[0])
        for ax, stage in zip(line, STAGES, strict=True):
            shown = _draw_plane(ax, probabilities[stage])
            for place, value in zip(grid().tolist(), probabilities[stage].tolist(), strict=True):
                rows.append([name, stage * STEPS_PER_EPOCH, *(round(each, 3) for each in place), value])
        line[0].set_ylabel(f"{name}\nsecond input", fontsize=9)
    figure.colorbar(shown, ax=axes, label="probability of 1", ticks=[0, 0.5, 1], shrink=0.8)
    figure.suptitle(
        "Exclusive or: 1 (triangles) where one of the two inputs is 1. The white line is one half", fontsize=10
    )
    writer.write(figure, ["network", "step", "first_input", "second_input", "probability"], rows, "xor")


def grid() -> Tensor:
    """Return the inputs at which the networks are evaluated, ``(POINTS², 2)``."""
    line = torch.linspace(*EDGES, POINTS)
    return torch.cartesian_prod(line, line)


def probabilities_in_training(hidden_sizes: tuple[int, ...], seed: int) -> list[Tensor]:
    """Train a network and return its probabilities at `grid` before the training and after each epoch."""
    seed_everything(seed, verbose=False)
    model = XORNet(hidden_sizes)
    answers = _Answers(grid())
    fit(model, XORDataModule(STEPS_PER_EPOCH), max(STAGES), answers)
    return answers.probabilities


def _draw_plane(ax: Any, probabilities: Tensor) -> Any:
    """Draw the probabilities as an image, where they are one half, and the four examples."""
    plane = probabilities.view(POINTS, POINTS).T.numpy()  # rows are the second input
    image = ax.imshow(plane, origin="lower", extent=(*EDGES, *EDGES), vmin=0, vmax=1, cmap="coolwarm")
    # Where all is about one half, the line would be noise.
    if plane.min() < 0.5 < plane.max() and plane.max() - plane.min() > 0.05:
        line = torch.linspace(*EDGES, POINTS).numpy()
        ax.contour(line, line, plane, levels=[0.5], colors="white", linewidths=1.5)
    for (first, second), label in zip(INPUTS, LABELS, strict=True):
        ax.plot(first, second, "^" if label else "o", color="black", markerfacecolor="white", markersize=8)
    ax.set(xticks=[0, 1], yticks=[0, 1])
    return image
