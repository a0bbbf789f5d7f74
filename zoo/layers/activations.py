"""Activation functions by name."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.utils.errors import unknown_name


class Maxout(nn.Module):
    """The larger of two linear units: a convex function that is learned, not chosen.

    Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout networks", ICML 2013. The layer before it has two
    outputs for each of its own: `inputs_for` says how many.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Map (B, 2·C, …) to (B, C, …)."""
        first, second = inputs.chunk(2, dim=1)
        return first.maximum(second)


ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "maxout": Maxout,
}
"""Name to module class; each is made without arguments and maps (B, C, …) to the same shape, but for `Maxout`."""


def make_activation(name: str) -> nn.Module:
    """Return a new activation module.

    Raises:
        UsageError: The name is unknown; close matches are named.
    """
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


def inputs_for(name: str, units: int) -> int:
    """Return how many outputs a layer needs so that after the activation there are ``units``."""
    return 2 * units if name == "maxout" else units
