"""The weights of a network's first layer, as images."""

from __future__ import annotations

import numpy as np
import torch

from zoo.figures.drawing import panels
from zoo.figures.writing import FigureWriter, Row
from zoo.inference.hidden_layers import first_weights, hidden_outputs, single_network
from zoo.models import Classifier

UNITS = 100
"""How many units are drawn at most."""


def draw(writer: FigureWriter, name: str, model: Classifier) -> None:
    """Draw what each unit of the first layer looks for: red pixels excite it, blue ones inhibit it.

    Args:
        writer: Writes the files ``weights``.
        name: The network's name.
        model: The trained network.
    """
    network = single_network(model)
    weights = first_weights(network).numpy()
    are_classes = not hidden_outputs(network, torch.zeros(1, 1, 28, 28))  # softmax regression
    # All units share one scale, so that weak weights look weak. The largest 1 % of the weights are clipped.
    limit = max(float(np.quantile(np.abs(weights), 0.99)), 1e-12)
    scale = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
    if weights.ndim == 2:
        figure, axes = panels(1, 1, size=(4.5, 6.5))
        axes[0, 0].imshow(weights, aspect="auto", interpolation="nearest", **scale)
        axes[0, 0].set(xlabel="pixel of a row of the image", ylabel="unit of a gate")
        axes[0, 0].grid(visible=False)
        rows: list[Row] = [[unit, 0, column, float(value)] for (unit, column), value in np.ndenumerate(weights)]
        shown = f"of all {len(weights)} units and gates"
    else:
        drawn = weights[:UNITS]
        columns = min(10, len(drawn))
        rows_of_units = -(-len(drawn) // columns)
        figure, axes = panels(rows_of_units, columns, size=(0.7, 0.7 + 0.8 / rows_of_units))
        for ax in axes.flat:
            ax.axis("off")
        for number, (ax, unit) in enumerate(zip(axes.flat, drawn, strict=False)):
            ax.imshow(unit, **scale)
            if are_classes:
                ax.set_title(str(number), fontsize=8)
        rows = [[unit, row, column, float(value)] for (unit, row, column), value in np.ndenumerate(drawn)]
        shown = f"of the first {len(drawn)} of {len(weights)} units" if len(drawn) < len(weights) else "of all units"
    figure.suptitle(f"{name}: weights of the first layer,\n{shown}; red +{limit:.2g}, blue −{limit:.2g}", fontsize=9)
    writer.write(figure, ["unit", "row", "column", "weight"], rows, "weights")
