"""Each activation function and its derivative: what a gradient is multiplied by on its way down."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.figures.drawing import panels
from zoo.figures.writing import COLOURS, Sheet
from zoo.layers.activations import ACTIVATIONS, make_activation


def draw(sheet: Sheet) -> None:
    """Draw every activation that a net can name, from −4 to 4."""
    figure, axes = panels(2, 4, size=(2.9, 2.4), sharex=True)
    rows = []
    x = torch.linspace(-4, 4, 401)
    for place, name in zip(axes.flat, ACTIVATIONS, strict=False):
        value, slope = value_and_slope(name, x)
        place.plot(x.numpy(), value.numpy(), color=COLOURS[0], label="f(x)")
        place.plot(x.numpy(), slope.numpy(), color=COLOURS[1], linestyle="--", label="f′(x)")
        place.set_title("maxout of x and −x/2" if name == "maxout" else name, fontsize=10)
        place.set_ylim(-2.2, 2.2)
        rows += [[name, *triple] for triple in zip(x.tolist(), value.tolist(), slope.tolist(), strict=True)]
    for place in axes[1]:
        place.set_xlabel("x")
    legend = axes.flat[-1]
    legend.axis("off")
    legend.legend(*axes.flat[0].get_legend_handles_labels(), loc="center", frameon=False)
    axes.flat[3].tick_params(labelbottom=True)
    sheet.write(figure, ["activation", "x", "value", "derivative"], rows, "activations")


def value_and_slope(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Return an activation and its derivative at ``x`` ``(N,)``, both ``(N,)``; maxout is that of x and −x/2."""
    inputs = x.unsqueeze(1).requires_grad_()
    outputs = make_activation(name)(torch.cat([inputs, -inputs / 2], dim=1) if name == "maxout" else inputs)
    (slope,) = torch.autograd.grad(outputs.sum(), inputs)
    return outputs.detach().squeeze(1), slope.squeeze(1)
