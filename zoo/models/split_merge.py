"""Networks with parallel branches whose outputs are concatenated, the lecture's "split and merge"."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.layers.blocks import ParallelBranches, check_channels, convolution, dense, pooling_head, use_channels_last
from zoo.layers.initializers import initialize
from zoo.models.classifier import Classifier
from zoo.utils.checks import check_counts, check_fractions
from zoo.utils.errors import UsageError


class SplitMerge(Classifier):
    """A fully connected network with parallel branches of different depth.

    A layer of ``width`` units, one branch of ``branch_width`` units per layer for each entry of ``depths``, the
    concatenation of the branches, another layer of ``width`` units, and the output layer.

    Args:
        width: Units in the layers before and after the branches, at least 1.
        branch_width: Units in each layer of each branch, at least 1.
        depths: The number of layers of each branch, each 1 to 100.
        activation: A name in `zoo.layers.activations`.
        weight_init: Weight initialization, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping a hidden unit's output in training, 0 ≤ p < 1.
        **training: Training arguments, as in `Classifier`.

    Raises:
        UsageError: A size or rate is out of range or a name is unknown.
    """

    def __init__(
        self,
        width: int = 256,
        branch_width: int = 128,
        depths: Sequence[int] = (1, 2, 3),
        activation: str = "relu",
        weight_init: str = "he_normal",
        dropout: float = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_counts(least=1, width=width, branch_width=branch_width)
        check_fractions(dropout=dropout)
        if not depths or not all(1 <= depth <= 100 for depth in depths):
            raise UsageError(
                f"depths is {list(depths)}, but there is at least one branch, and each has 1 to 100 layers."
            )

        def branch(depth: int) -> nn.Sequential:
            sizes = [width, *([branch_width] * (depth - 1))]
            return nn.Sequential(*(dense(fan_in, branch_width, activation, weight_init, dropout) for fan_in in sizes))

        output = nn.Linear(width, self.hparams["num_classes"])
        initialize(output, weight_init, "zeros")
        self.net = nn.Sequential(
            nn.Flatten(),
            dense(784, width, activation, weight_init, dropout),
            ParallelBranches(branch(depth) for depth in depths),
            dense(len(depths) * branch_width, width, activation, weight_init, dropout),
            output,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits


class SplitMergeCNN(Classifier):
    """A small convolutional network of inception modules: parallel 1×1, 3×3 and 5×5 convolutions and max pooling.

    A convolution at 14×14 pixels, the modules with max pooling between them, which halves the resolution, and global
    average pooling. Every convolution is followed by batch norm. Szegedy et al., "Going deeper with convolutions",
    CVPR 2015.

    Args:
        stem: Filters of the first convolution, at least 1.
        channels: Filters in each of the four branches, for each module; 1 to 4 entries.
        activation: A name in `zoo.layers.activations`.
        weight_init: Weight initialization, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping a feature before the output layer in training, 0 ≤ p < 1.
        **training: Training arguments, as in `Classifier`.

    Raises:
        UsageError: A size or rate is out of range or a name is unknown.
    """

    def __init__(
        self,
        stem: int = 32,
        channels: Sequence[int] = (16, 32),
        activation: str = "relu",
        weight_init: str = "he_normal",
        dropout: float = 0.0,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_counts(least=1, stem=stem)
        check_channels(channels)
        check_fractions(dropout=dropout)

        def filters(channels_in: int, channels_out: int, kernel_size: int, stride: int = 1) -> nn.Sequential:
            return convolution(channels_in, channels_out, kernel_size, activation, weight_init, stride)

        def inception(channels_in: int, width: int) -> ParallelBranches:
            return ParallelBranches(
                [
                    filters(channels_in, width, 1),
                    # A 1×1 convolution first reduces the channels, because larger kernels are expensive.
                    nn.Sequential(filters(channels_in, width, 1), filters(width, width, 3)),
                    nn.Sequential(filters(channels_in, width, 1), filters(width, width, 5)),
                    nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), filters(channels_in, width, 1)),
                ]
            )

        layers: list[nn.Module] = [filters(1, stem, 5, stride=2)]
        channels_in = stem
        for index, width in enumerate(channels):
            if index:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            layers.append(inception(channels_in, width))
            channels_in = 4 * width
        self.net = nn.Sequential(*layers, *pooling_head(channels_in, self.hparams["num_classes"], dropout, weight_init))
        use_channels_last(self.net)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits
