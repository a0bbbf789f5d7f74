"""Split and merge: branches look at the same thing in different ways, and what they find is put side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.layers.blocks import Parallel, channels_last, check_channels, convolution, dense, mean_and_output
from zoo.layers.initializers import initialize
from zoo.models.classifier import Classifier
from zoo.utils.checks import check_counts, check_fractions
from zoo.utils.errors import UsageError


class SplitMerge(Classifier):
    """A fully connected net that splits into branches of different depth and merges them again.

    784-width, then a branch for each entry of ``depths``, as many layers deep as it says, then all branches side by
    side, a layer of ``width`` units, and 10.

    Args:
        width: Units before the split and after the merge, at least 1.
        branch_width: Units in every layer of every branch, at least 1.
        depths: The layers of each branch, each 1 to 100.
        activation: A name in `zoo.layers.activations`.
        weight_init: Initial values of the weights, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping a hidden unit's output while training, 0 ≤ p < 1.
        **training: How it is trained, as in `Classifier`.

    Raises:
        UsageError: A size, rate or name is wrong.
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
            Parallel(branch(depth) for depth in depths),
            dense(len(depths) * branch_width, width, activation, weight_init, dropout),
            output,
        )

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits


class SplitMergeCNN(Classifier):
    """A small convolutional net of inception modules: filters of 1×1, 3×3 and 5×5 and a maximum, side by side.

    A first layer of filters at 14×14 pixels, a module, one more after each halving, and the mean over the picture.
    Every convolution is followed by batch norm. Szegedy et al., "Going deeper with convolutions", CVPR 2015.

    Args:
        stem: Filters of the first layer, at least 1.
        channels: Filters of each of a module's four branches; the picture is halved between modules, so there are 1
            to 4.
        activation: A name in `zoo.layers.activations`.
        weight_init: Initial values of the weights, a name in `zoo.layers.initializers`.
        dropout: Probability of dropping a feature before the output layer while training, 0 ≤ p < 1.
        **training: How it is trained, as in `Classifier`.

    Raises:
        UsageError: A size, rate or name is wrong.
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

        def inception(channels_in: int, width: int) -> Parallel:
            return Parallel(
                [
                    filters(channels_in, width, 1),
                    # Fewer channels first: a wide filter over all of them would cost most of the module.
                    nn.Sequential(filters(channels_in, width, 1), filters(width, width, 3)),
                    nn.Sequential(filters(channels_in, width, 1), filters(width, width, 5)),
                    nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), filters(channels_in, width, 1)),
                ]
            )

        layers: list[nn.Module] = [filters(1, stem, 5, stride=2)]
        channels_in = stem
        for number, width in enumerate(channels):
            if number:
                layers.append(nn.MaxPool2d(2, ceil_mode=True))
            layers.append(inception(channels_in, width))
            channels_in = 4 * width
        self.net = nn.Sequential(
            *layers, *mean_and_output(channels_in, self.hparams["num_classes"], dropout, weight_init)
        )
        channels_last(self.net)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits
