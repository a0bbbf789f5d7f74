"""A picture's way through a network, layer by layer."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from zoo.figures.drawing import panels
from zoo.figures.writing import FigureWriter, Row
from zoo.inference.hidden_layers import hidden_outputs, single_network
from zoo.pretrained.trained_classifier import TrainedClassifier
from zoo.utils.pictures import COLORS

MAPS = 64
"""How many channels of a convolution are drawn at most."""


def draw(writer: FigureWriter, name: str, trained: TrainedClassifier, image: Tensor) -> None:
    """Draw the output of every layer for one image, dark where a unit is active.

    Args:
        writer: Writes the files ``layers``.
        name: The network's name.
        trained: The trained network, whose probabilities are calibrated.
        image: ``(1, 28, 28)`` in [0, 1].
    """
    network = single_network(trained.model)
    outputs = {layer: output[0].numpy() for layer, output in hidden_outputs(network, image[None]).items()}
    with torch.no_grad():
        probabilities = (network(image[None])[0] / trained.temperature).softmax(dim=0).numpy()
    count = len(outputs) + 2
    columns = min(count, 4)
    figure, axes = panels(-(-count // columns), columns, size=(2.5, 2.7))
    for ax in axes.flat:
        ax.axis("off")
    first, *others = axes.flat
    first.imshow(image[0].numpy(), cmap="gray_r", vmin=0, vmax=1)
    first.set_title("the image", fontsize=8)
    for ax, (layer, output) in zip(others, outputs.items(), strict=False):
        limit = max(float(np.abs(output).max()), 1e-12)
        scale: dict[str, Any] = {"cmap": "gray_r", "vmin": 0, "vmax": limit}
        if output.min() < 0:
            scale = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        ax.imshow(_tiles(output), interpolation="nearest", **scale)
        ax.set_title(f"{layer}: {_shape(output)}\nup to {limit:.2g}", fontsize=8)
    bars = others[count - 2]
    bars.axis("on")
    bars.bar(range(len(probabilities)), probabilities, color=COLORS[0])
    bars.set(ylim=(0, 1), xticks=range(len(probabilities)))
    bars.tick_params(labelsize=7)
    bars.set_title(f"the output: {int(probabilities.argmax())}\nwith {probabilities.max():.4f}", fontsize=8)
    of = f"{name}, its first member" if network is not trained.model else name
    signs = ", red is positive, blue is negative" if any(output.min() < 0 for output in outputs.values()) else ""
    figure.suptitle(f"{of}: one image, layer by layer. White is 0{signs}", fontsize=9)
    figure.get_layout_engine().set(w_pad=0.12)
    rows: list[Row] = [
        [layer, unit, float(value)]
        for layer, output in [("image", image.numpy()), *outputs.items(), ("probabilities", probabilities)]
        for unit, value in enumerate(output.ravel())
    ]
    writer.write(figure, ["layer", "unit", "output"], rows, "layers")


def _tiles(output: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return a layer's output as one image: its maps side by side, or its units in a rectangle."""
    if output.ndim == 2:
        return output
    if output.ndim == 1:
        width = math.ceil(math.sqrt(len(output)))
        height = -(-len(output) // width)
        padded = np.full(height * width, np.nan)
        padded[: len(output)] = output
        return padded.reshape(height, width)
    maps = output[:MAPS]
    columns = math.ceil(math.sqrt(len(maps)))
    rows = -(-len(maps) // columns)
    _, height, width = maps.shape
    image = np.full((rows * (height + 1), columns * (width + 1)), np.nan)
    for number, each in enumerate(maps):
        row, column = divmod(number, columns)
        image[row * (height + 1) :, column * (width + 1) :][:height, :width] = each
    return image


def _shape(output: np.ndarray[Any, Any]) -> str:
    if output.ndim == 3:
        shown = f"first {MAPS} of " if len(output) > MAPS else ""
        return f"{shown}{len(output)} maps of {output.shape[1]} × {output.shape[2]}"
    if output.ndim == 2:
        return f"{output.shape[1]} units at {output.shape[0]} rows"
    return f"{len(output)} units"
