"""Fast forward: what some layers compute is added to what they were given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from zoo.layers.blocks import (
    Residual,
    channels_last,
    check_blocks,
    check_channels,
    convolution,
    dense,
    mean_and_output,
    residual,
)
from zoo.layers.initializers import initialize
from zoo.models.classifier import Classifier
from zoo.utils.checks import check_counts, check_fractions


class ResidualMLP(Classifier):
    """A fully connected net whose output is forwarded past every two layers: 784-width, blocks of two layers, 10.

    The second layer of each block begins with weights that are smaller by the root of the number of blocks, so
    that all blocks together add at first as much as one would: Hanin and Rolnick, "How to start training: the effect of
    initialization and architecture", NeurIPS 2018.

    Args:
        width: Units in every hidden layer, at least 1.
        num_blocks: Blocks of two layers, 0 to 1000.
        activation: A name in `zoo.layers.activations`; ``maxout`` comes before the sum and not after it.
        weight_init: Initial values of the weights, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping a hidden unit's output while training, 0 ≤ p < 1: within the blocks and before
            the output, and not on the way around.
        skip: False leaves the ways around out, and the smaller weights, to see what they are good for.
        **training: How it is trained, as in `Classifier`.

    Raises:
        UsageError: A size, rate or name is wrong.
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
        check_blocks(num_blocks)
        check_fractions(dropout=dropout)

        def block() -> Residual:
            last = dense(width, width, activation, weight_init)
            if skip:
                with torch.no_grad():
                    last[0].get_parameter("weight").div_(num_blocks**0.5)
            return residual(dense(width, width, activation, weight_init, dropout), last, skip)

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
    """A small convolutional net with ways around: filters at 14×14 pixels, then at 7×7, then the mean over the picture.

    Every convolution is followed by batch norm. He, Zhang, Ren and Sun, "Deep residual learning for image recognition",
    CVPR 2016.

    Args:
        channels: Filters at each size; the picture is halved before each, so there are 1 to 4.
        num_blocks: Blocks of two convolutions at each size, 0 to 1000.
        activation: A name in `zoo.layers.activations`; ``maxout`` comes before the sum and not after it.
        weight_init: Initial values of the weights, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping a feature before the output layer while training, 0 ≤ p < 1.
        skip: False leaves the ways around out, to see what they are good for.
        **training: How it is trained, as in `Classifier`.

    Raises:
        UsageError: A size, rate or name is wrong.
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
        check_blocks(num_blocks)
        check_fractions(dropout=dropout)

        def block(width: int) -> Residual:
            first, last = (convolution(width, width, 3, activation, weight_init) for _ in range(2))
            return residual(first, last, skip)

        layers: list[nn.Module] = []
        for width_before, width in zip([1, *channels], channels, strict=False):
            # The first filters see few pixels each, so they are wider.
            kernel_size = 3 if layers else 5
            layers.append(convolution(width_before, width, kernel_size, activation, weight_init, stride=2))
            layers += [block(width) for _ in range(num_blocks)]
        self.net = nn.Sequential(
            *layers, *mean_and_output(channels[-1], self.hparams["num_classes"], dropout, weight_init)
        )
        channels_last(self.net)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits
