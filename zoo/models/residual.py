"""Residual networks: a skip connection adds the input of each block to its output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.layers.blocks import (
    ResidualBlock,
    check_channels,
    check_num_blocks,
    convolution,
    dense,
    pooling_head,
    residual_block,
    use_channels_last,
)
from zoo.layers.initializers import initialize
from zoo.models.classifier import Classifier
from zoo.utils.checks import check_counts, check_fractions


class ResidualMLP(Classifier):
    """A fully connected network with a skip connection around every two layers: 784-width, residual blocks, 10.

    The initial weights of the second layer in each block are divided by the square root of the number of blocks. At
    initialization the variance that all blocks add therefore does not grow with their number: Hanin and Rolnick, "How
    to start training: the effect of initialization and architecture", NeurIPS 2018.

    Args:
        width: Units in each hidden layer, at least 1.
        num_blocks: Blocks of two layers, 0 to 1000.
        activation: A name in `zoo.layers.activations`; ``maxout`` is applied before the addition, not after it.
        weight_init: Weight initialization, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping a hidden unit's output in training, 0 ≤ p < 1: within the blocks and before the
            output layer, but not on the skip connections.
        skip: If False, there are no skip connections and the initial weights are not scaled, for comparison.
        **training: Training arguments, as in `Classifier`.

    Raises:
        UsageError: A size or rate is out of range or a name is unknown.
    """

    def __init__(
        self,
        width: int = 256,
        num_blocks: int = 2,
        activation: str = "relu",
        weight_init: str = "he_normal",
        dropout: float = 0.0,
        skip: bool = True,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_counts(least=1, width=width)
        check_num_blocks(num_blocks)
        check_fractions(dropout=dropout)

        def block() -> ResidualBlock:
            last = dense(width, width, activation, weight_init)
            if skip:
                with torch.no_grad():
                    last[0].get_parameter("weight").div_(num_blocks**0.5)
            return residual_block(dense(width, width, activation, weight_init, dropout), last, skip)

        output = nn.Linear(width, self.hparams["num_classes"])
        initialize(output, weight_init, "zeros")
        self.net = nn.Sequential(
            nn.Flatten(),
            dense(784, width, activation, weight_init),
            *(block() for _ in range(num_blocks)),
            nn.Dropout(dropout),
            output,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits


class ResidualCNN(Classifier):
    """A small residual convolutional network: filters at 14×14 pixels, then at 7×7, then global average pooling.

    Every convolution is followed by batch norm. He, Zhang, Ren and Sun, "Deep residual learning for image recognition",
    CVPR 2016.

    Args:
        channels: Filters at each resolution, which is halved before each; 1 to 4 entries.
        num_blocks: Blocks of two convolutions at each resolution, 0 to 1000.
        activation: A name in `zoo.layers.activations`; ``maxout`` is applied before the addition, not after it.
        weight_init: Weight initialization, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping a feature before the output layer in training, 0 ≤ p < 1.
        skip: If False, there are no skip connections, for comparison.
        **training: Training arguments, as in `Classifier`.

    Raises:
        UsageError: A size or rate is out of range or a name is unknown.
    """

    def __init__(
        self,
        channels: Sequence[int] = (32, 64),
        num_blocks: int = 1,
        activation: str = "relu",
        weight_init: str = "he_normal",
        dropout: float = 0.0,
        skip: bool = True,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_channels(channels)
        check_num_blocks(num_blocks)
        check_fractions(dropout=dropout)

        def block(width: int) -> ResidualBlock:
            first, last = (convolution(width, width, 3, activation, weight_init) for _ in range(2))
            return residual_block(first, last, skip)

        layers: list[nn.Module] = []
        for input_channels, width in zip([1, *channels], channels, strict=False):
            # The first filters have a single input channel, so a larger kernel is cheap.
            kernel_size = 3 if layers else 5
            layers.append(convolution(input_channels, width, kernel_size, activation, weight_init, stride=2))
            layers += [block(width) for _ in range(num_blocks)]
        self.net = nn.Sequential(
            *layers, *pooling_head(channels[-1], self.hparams["num_classes"], dropout, weight_init)
        )
        use_channels_last(self.net)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits
