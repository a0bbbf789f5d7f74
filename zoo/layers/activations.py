"""Activation functions by name."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.utils.errors import unknown_name


class Maxout(nn.Module):
    """The maximum of two linear units, a learned convex activation function.

    Goodfellow, Warde-Farley, Mirza, Courville and Bengio, "Maxout networks", ICML 2013. The preceding layer has two
    outputs for each output of this one; see `preactivation_size`.
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
"""Name to module class, which takes no arguments. All except `Maxout` preserve the shape (B, C, …)."""


def make_activation(name: str) -> nn.Module:
    """Return a new activation module.

    Raises:
        UsageError: The name is unknown; the message suggests close matches.
    """
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()


def preactivation_size(name: str, units: int) -> int:
    """Return the number of inputs from which the activation ``name`` computes ``units`` outputs."""
    return 2 * units if name == "maxout" else units
