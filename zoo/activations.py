"""Activation functions by name."""

from __future__ import annotations

from torch import nn

from zoo.errors import unknown_name

ACTIVATIONS: dict[str, type[nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
}
"""Name to module class; each is made without arguments and maps (…) to the same shape."""


def make_activation(name: str) -> nn.Module:
    """Return a new activation module.

    Raises:
        UsageError: The name is unknown; close matches are named.
    """
    if name not in ACTIVATIONS:
        raise unknown_name("activation", name, ACTIVATIONS)
    return ACTIVATIONS[name]()
