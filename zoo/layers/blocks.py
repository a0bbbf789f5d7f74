"""What the larger nets are built of: layers with their activations, ways around, and branches side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from zoo.layers.activations import Maxout, inputs_for, make_activation
from zoo.layers.initializers import initialize
from zoo.utils.checks import check_layer_sizes
from zoo.utils.errors import UsageError

MAX_BLOCKS = 1000
"""Blocks in a net."""


def dense(fan_in: int, units: int, activation: str, weight_init: str, dropout: float = 0.0) -> nn.Sequential:
    """Return a fully connected layer, its activation and, if asked for, dropout: ``(B, fan_in)`` to ``(B, units)``.

    Raises:
        UsageError: A name is unknown.
    """
    linear = nn.Linear(fan_in, inputs_for(activation, units))
    initialize(linear, weight_init, "zeros")
    layers = [linear, make_activation(activation)]
    return nn.Sequential(*layers, nn.Dropout(dropout)) if dropout else nn.Sequential(*layers)


def convolution(
    channels_in: int, channels_out: int, kernel_size: int, activation: str, weight_init: str, stride: int = 1
) -> nn.Sequential:
    """Return a convolution, batch norm and activation: ``(B, channels_in, H, W)`` to ``(B, channels_out, H', W')``.

    The margin is padded, so that a stride of 1 keeps H and W, and one of 2 halves them, rounded up.

    Args:
        channels_in: Input channels.
        channels_out: Output channels.
        kernel_size: Odd.
        activation: A name in `zoo.layers.activations`.
        weight_init: A name in `zoo.layers.initializers`.
        stride: 1 or 2.

    Raises:
        UsageError: A name is unknown.
    """
    outputs = inputs_for(activation, channels_out)
    filters = nn.Conv2d(channels_in, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)
    initialize(filters, weight_init, "zeros")
    return nn.Sequential(filters, nn.BatchNorm2d(outputs), make_activation(activation))


def mean_and_output(channels: int, num_classes: int, dropout: float, weight_init: str) -> list[nn.Module]:
    """Return the end of a convolutional net: the mean over the picture, dropout, and ``(B, num_classes)``.

    Raises:
        UsageError: The name is unknown.
    """
    output = nn.Linear(channels, num_classes)
    initialize(output, weight_init, "zeros")
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), output]


def channels_last(net: nn.Module) -> None:
    """Let a pixel's channels lie side by side in memory: an epoch then takes half as long on a CPU."""
    net.to(memory_format=torch.channels_last)


class Residual(nn.Module):
    """Some layers and a way around them: activation(x + layers(x)).

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, figure 2.

    Args:
        layers: What is gone around: maps (B, …) to the same shape.
        activation: What the sum goes through.
        skip: Whether there is a way around; without, these are layers like any others.
    """

    def __init__(self, layers: nn.Module, activation: nn.Module, skip: bool = True) -> None:
        super().__init__()
        self.layers = layers
        self.activation = activation
        self.skip = skip

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, …) to the same shape."""
        activated: Tensor = self.activation(x + self.layers(x) if self.skip else self.layers(x))
        return activated


class Parallel(nn.Module):
    """Branches that see the same input, and whose outputs are put side by side: split and merge.

    Szegedy et al., "Going deeper with convolutions", CVPR 2015, figure 2.

    Args:
        branches: Each maps (B, …) to (B, C, …), with a C of its own and the other dimensions as all have them.
    """

    def __init__(self, branches: Iterable[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, …) to (B, ΣC, …)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def check_blocks(num_blocks: int) -> None:
    """Raise `UsageError` unless it is a number of blocks."""
    if not 0 <= num_blocks <= MAX_BLOCKS:
        raise UsageError(f"num_blocks is {num_blocks}, but it must be 0 to {MAX_BLOCKS}.")


def check_channels(channels: Sequence[int]) -> None:
    """Raise `UsageError` unless these are the filters at one to four sizes of a picture of 28×28 pixels."""
    check_layer_sizes(channels, least=1, name="channels")
    if len(channels) > 4:
        raise UsageError(f"channels is {list(channels)}, but 28 pixels can be halved 4 times, so there are 1 to 4.")


def residual(first: nn.Sequential, last: nn.Sequential, skip: bool) -> Residual:
    """Return a block of two layers, of which the last one's activation comes after the sum, if it can."""
    if isinstance(last[-1], Maxout):
        return Residual(nn.Sequential(first, last), nn.Identity(), skip)
    return Residual(nn.Sequential(first, last[:-1]), last[-1], skip)
