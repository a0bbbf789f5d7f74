"""Plain convolutional networks: convolutions with max pooling between them, then fully connected layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.layers.activations import make_activation, preactivation_size
from zoo.layers.blocks import use_channels_last
from zoo.layers.initializers import initialize
from zoo.models.classifier import Classifier
from zoo.utils.checks import check_fractions, check_layer_sizes
from zoo.utils.errors import UsageError

IMAGE_SIZE = 28


class CNN(Classifier):
    """A convolutional network without skip connections or branches.

    Convolutions in groups, with 2×2 max pooling at the end of each group, which halves the resolution; then fully
    connected layers. Every convolution and hidden layer is followed by batch norm and the activation. LeCun, Bottou,
    Bengio and Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 1998; Ioffe and Szegedy,
    "Batch normalization", ICML 2015.

    Args:
        channels: The filters of each convolution, a list for each group. ``[[32, 32], [64, 64]]`` has two convolutions
            of 32 filters, pooling, two of 64 filters, and pooling.
        kernel_sizes: The width and height of the filters in each group, 1 to 28 pixels.
        padding: Whether a border of zeros keeps the resolution in each convolution, which needs odd kernel sizes.
            Without it, a convolution takes ``kernel_size − 1`` pixels away.
        hidden_sizes: Units of each fully connected hidden layer, each at least 1; may be empty.
        activation: A name in `zoo.layers.activations`.
        weight_init: Weight initialization, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping an input of a fully connected layer in training, 0 ≤ p < 1.
        **training: Training arguments, as in `Classifier`.

    Raises:
        UsageError: A size or rate is out of range, a name is unknown, or no pixel is left after a group.
    """

    def __init__(
        self,
        channels: Sequence[Sequence[int]] = ((16,), (32,)),
        kernel_sizes: Sequence[int] = (5, 3),
        padding: bool = False,
        hidden_sizes: Sequence[int] = (128,),
        activation: str = "relu",
        weight_init: str = "he_normal",
        dropout: float = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_fractions(dropout=dropout)
        check_layer_sizes(hidden_sizes)
        resolution = _final_resolution(channels, kernel_sizes, padding)

        layers: list[nn.Module] = []
        fan_in = 1
        for widths, kernel_size in zip(channels, kernel_sizes, strict=True):
            border = kernel_size // 2 if padding else 0
            for position, width in enumerate(widths, start=1):
                outputs = preactivation_size(activation, width)
                filters = nn.Conv2d(fan_in, outputs, kernel_size, padding=border, bias=False)
                initialize(filters, weight_init, "zeros")
                layers.append(filters)
                if position == len(widths):
                    # Before batch norm and the activation, which then have a quarter of the numbers to work on.
                    layers.append(nn.MaxPool2d(2))
                layers += [nn.BatchNorm2d(outputs), make_activation(activation)]
                fan_in = width
        layers.append(nn.Flatten())
        fan_in *= resolution**2
        for units in hidden_sizes:
            outputs = preactivation_size(activation, units)
            linear = nn.Linear(fan_in, outputs, bias=False)
            initialize(linear, weight_init, "zeros")
            layers += [nn.Dropout(dropout), linear, nn.BatchNorm1d(outputs), make_activation(activation)]
            fan_in = units
        output = nn.Linear(fan_in, self.hparams["num_classes"])
        initialize(output, weight_init, "zeros")
        self.net = nn.Sequential(*layers, nn.Dropout(dropout), output)
        use_channels_last(self.net)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits


def _final_resolution(channels: Sequence[Sequence[int]], kernel_sizes: Sequence[int], padding: bool) -> int:
    """Return the width and height in pixels after all groups.

    Raises:
        UsageError: A size is out of range, or no pixel is left.
    """
    if len(channels) != len(kernel_sizes):
        raise UsageError(
            f"channels has {len(channels)} list(s), but kernel_sizes has {len(kernel_sizes)} number(s): give one for "
            "each list."
        )
    resolution = IMAGE_SIZE
    for group, (widths, kernel_size) in enumerate(zip(channels, kernel_sizes, strict=True), start=1):
        check_layer_sizes(widths, least=1, name=f"group {group} of channels")
        if not 1 <= kernel_size <= IMAGE_SIZE or (padding and kernel_size % 2 == 0):
            raise UsageError(
                f"kernel_sizes is {list(kernel_sizes)}, but each is 1 to {IMAGE_SIZE}, and odd if there is padding."
            )
        resolution = (resolution if padding else resolution - len(widths) * (kernel_size - 1)) // 2
        if resolution < 1:
            raise UsageError(
                f"No pixel is left after group {group} of channels: take fewer convolutions, smaller kernel_sizes or "
                "padding."
            )
    return resolution
