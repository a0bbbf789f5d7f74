"""Blocks of larger networks: layers with activations, skip connections and parallel branches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from zoo.layers.activations import Maxout, make_activation, preactivation_size
from zoo.layers.initializers import initialize
from zoo.utils.checks import check_layer_sizes
from zoo.utils.errors import UsageError

MAX_BLOCKS = 1000


def dense(fan_in: int, units: int, activation: str, weight_init: str, dropout: float = 0.0) -> nn.Sequential:
    """Return a fully connected layer with activation and optional dropout, ``(B, fan_in)`` to ``(B, units)``.

    Raises:
        UsageError: A name is unknown.
    """
    linear = nn.Linear(fan_in, preactivation_size(activation, units))
    initialize(linear, weight_init, "zeros")
    layers = [linear, make_activation(activation)]
    return nn.Sequential(*layers, nn.Dropout(dropout)) if dropout else nn.Sequential(*layers)


def convolution(
    channels_in: int, channels_out: int, kernel_size: int, activation: str, weight_init: str, stride: int = 1
) -> nn.Sequential:
    """Return a convolution, batch norm and activation, ``(B, channels_in, H, W)`` to ``(B, channels_out, H', W')``.

    With padding: stride 1 preserves H and W, and stride 2 halves them, rounded up.

    Args:
        channels_in: Input channels.
        channels_out: Output channels.
        kernel_size: An odd number.
        activation: A name in `zoo.layers.activations`.
        weight_init: A name in `zoo.layers.initializers`.
        stride: 1 or 2.

    Raises:
        UsageError: A name is unknown.
    """
    outputs = preactivation_size(activation, channels_out)
    filters = nn.Conv2d(channels_in, outputs, kernel_size, stride, padding=kernel_size // 2, bias=False)
    initialize(filters, weight_init, "zeros")
    return nn.Sequential(filters, nn.BatchNorm2d(outputs), make_activation(activation))


def pooling_head(channels: int, num_classes: int, dropout: float, weight_init: str) -> list[nn.Module]:
    """Return the head of a convolutional network: global average pooling, dropout and the output layer.

    It maps ``(B, channels, H, W)`` to ``(B, num_classes)``.

    Raises:
        UsageError: The name is unknown.
    """
    output = nn.Linear(channels, num_classes)
    initialize(output, weight_init, "zeros")
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout), output]


def use_channels_last(net: nn.Module) -> None:
    """Convert a network to the channels-last memory format, which halves the duration of an epoch on a CPU."""
    net.to(memory_format=torch.channels_last)


class ResidualBlock(nn.Module):
    """Layers with a skip connection: activation(x + layers(x)).

    He, Zhang, Ren and Sun, "Deep residual learning for image recognition", CVPR 2016, figure 2.

    Args:
        layers: The residual branch; maps (B, …) to the same shape.
        activation: Applied to the sum.
        skip: Whether there is a skip connection. If False, the block computes activation(layers(x)).
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


class ParallelBranches(nn.Module):
    """Parallel branches with the same input, whose outputs are concatenated.

    Szegedy et al., "Going deeper with convolutions", CVPR 2015, figure 2.

    Args:
        branches: Each maps (B, …) to (B, C, …). C may differ between branches, the other dimensions may not.
    """

    def __init__(self, branches: Iterable[nn.Module]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, …) to (B, ΣC, …)."""
        return torch.cat([branch(x) for branch in self.branches], dim=1)


def check_num_blocks(num_blocks: int) -> None:
    """Raise `UsageError` unless ``num_blocks`` is from 0 to 1000."""
    if not 0 <= num_blocks <= MAX_BLOCKS:
        raise UsageError(f"num_blocks is {num_blocks}, but it must be 0 to {MAX_BLOCKS}.")


def check_channels(channels: Sequence[int]) -> None:
    """Raise `UsageError` unless there are 1 to 4 entries, each at least 1: 28×28 pixels can be halved 4 times."""
    check_layer_sizes(channels, least=1, name="channels")
    if len(channels) > 4:
        raise UsageError(f"channels is {list(channels)}, but 28 pixels can be halved 4 times, so there are 1 to 4.")


def residual_block(first: nn.Sequential, last: nn.Sequential, skip: bool) -> ResidualBlock:
    """Return a residual block of two layers, with the activation of the last one after the addition.

    Maxout halves the number of units, so it must come before the addition.
    """
    if isinstance(last[-1], Maxout):
        return ResidualBlock(nn.Sequential(first, last), nn.Identity(), skip)
    return ResidualBlock(nn.Sequential(first, last[:-1]), last[-1], skip)
