"""Activation functions and their derivatives."""

from __future__ import annotations

import torch
from torch import Tensor

from zoo.figures.drawing import panels
from zoo.figures.writing import FigureWriter
from zoo.layers.activations import ACTIVATIONS, make_activation
from zoo.utils.pictures import COLORS


def draw(writer: FigureWriter) -> None:
    """Draw every activation function of the zoo and its derivative, from −4 to 4."""
    columns = 4
    figure, axes = panels(len(ACTIVATIONS) // columns + 1, columns, size=(2.9, 2.4), sharex=True)
    rows = []
    x = torch.linspace(-4, 4, 401)
    for ax, name in zip(axes.flat, ACTIVATIONS, strict=False):
        value, derivative = value_and_derivative(name, x)
        ax.plot(x.numpy(), value.numpy(), color=COLORS[0], label="f(x)")
        ax.plot(x.numpy(), derivative.numpy(), color=COLORS[1], linestyle="--", label="f′(x)")
        ax.set_title("maxout of x and −x/2" if name == "maxout" else name, fontsize=10)
        ax.set_ylim(-2.2, 2.2)
        rows += [[name, *triple] for triple in zip(x.tolist(), value.tolist(), derivative.tolist(), strict=True)]
    for place, ax in enumerate(axes.flat):
        if place >= len(ACTIVATIONS):
            ax.axis("off")
        elif place + columns >= len(ACTIVATIONS):  # the lowest one in its column
            ax.set_xlabel("x")
            ax.tick_params(labelbottom=True)
    axes.flat[-1].legend(*axes.flat[0].get_legend_handles_labels(), loc="center", frameon=False)
    writer.write(figure, ["activation", "x", "value", "derivative"], rows, "activations")


def value_and_derivative(name: str, x: Tensor) -> tuple[Tensor, Tensor]:
    """Evaluate an activation function and its derivative.

    Args:
        name: A key of `zoo.layers.activations.ACTIVATIONS`. Maxout is evaluated for the pair x and −x/2.
        x: Inputs ``(N,)``.

    Returns:
        The values and the derivatives at ``x``, ``(N,)`` each.
    """
    inputs = x.unsqueeze(1).requires_grad_()
    outputs = make_activation(name)(torch.cat([inputs, -inputs / 2], dim=1) if name == "maxout" else inputs)
    (derivative,) = torch.autograd.grad(outputs.sum(), inputs)
    return outputs.detach().squeeze(1), derivative.squeeze(1)
