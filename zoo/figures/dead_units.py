"""How much the hidden units of a network differ between images, and which do not at all."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.data.mnist import load_test_data
from zoo.figures.drawing import panels
from zoo.figures.writing import FigureWriter, Row
from zoo.inference.hidden_layers import hidden_outputs, single_network
from zoo.models import Classifier
from zoo.utils.errors import UsageError
from zoo.utils.pictures import COLORS

DEAD = 1e-6
"""A unit whose outputs for all images lie within this is dead."""


def unit_ranges(model: Classifier, batches: list[Tensor]) -> dict[str, Tensor]:
    """Return how far apart the largest and the smallest output of each hidden unit are, ``(units,)`` by layer.

    Args:
        model: The network, in eval mode; of an ensemble, a single member.
        batches: Images, each ``(B, 1, 28, 28)`` in [0, 1].
    """
    lowest: dict[str, Tensor] = {}
    highest: dict[str, Tensor] = {}
    for images in batches:
        for layer, output in hidden_outputs(model, images).items():
            # A map of a convolution is one unit, and so is a recurrent unit at all rows.
            values = output.movedim(1, -1) if output.dim() == 4 else output
            values = values.reshape(-1, values.shape[-1])
            low, high = values.min(dim=0).values, values.max(dim=0).values
            lowest[layer] = low if layer not in lowest else low.minimum(lowest[layer])
            highest[layer] = high if layer not in highest else high.maximum(highest[layer])
    return {layer: highest[layer] - lowest[layer] for layer in lowest}


@torch.no_grad()
def draw(writer: FigureWriter, name: str, model: Classifier) -> None:
    """Draw the range of each hidden unit's output over the 10,000 test images, by layer.

    Args:
        writer: Writes the files ``dead_units``.
        name: The network's name.
        model: The trained network.

    Raises:
        UsageError: The network has no hidden layer.
    """
    network = single_network(model)
    ranges = unit_ranges(network, [images for images, *_ in load_test_data().test_dataloader()])
    if not ranges:
        raise UsageError(f"{name} has no hidden layer, and so no unit that could be dead: name another --model.")
    figure, axes = panels(1, 1, size=(5.6, 3.8))
    ax = axes[0, 0]
    rows: list[Row] = []
    for number, (layer, spread) in enumerate(ranges.items()):
        ordered = spread.sort(descending=True).values
        dead = int((spread <= DEAD).sum())
        share = torch.arange(1, len(ordered) + 1) / len(ordered)
        label = f"{layer}: {dead} of {len(ordered)} dead"
        style = ("-", "--", ":", "-.")[number // len(COLORS) % 4]
        ax.plot(share * 100, ordered, label=label, color=COLORS[number % len(COLORS)], linestyle=style)
        rows += [[layer, unit, float(value), int(value <= DEAD)] for unit, value in enumerate(spread)]
    ax.set(xlabel="units in %, sorted by that difference", ylabel="largest minus smallest output", ylim=(0, None))
    if len(ranges) > 5:
        figure.set_figheight(3.8 + 0.17 * -(-len(ranges) // 2))
        figure.legend(loc="outside lower center", fontsize=8, ncols=2)
    else:
        ax.legend(fontsize=8)
    of = f"{name}, its first member" if network is not model else name
    ax.set_title(f"{of}: hidden units over the 10,000 test images\n(dead: the same output for every image)", fontsize=9)
    writer.write(figure, ["layer", "unit", "range", "dead"], rows, "dead_units")
