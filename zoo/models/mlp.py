"""The fully connected feed-forward net: most of the lecture's systems are one of these."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from zoo.activations import make_activation
from zoo.errors import UsageError
from zoo.initialisers import initialise
from zoo.models.classifier import Classifier

LARGEST_LAYER = 1_000_000


class MLP(Classifier):
    """A multilayer perceptron, 784-hidden-…-10, with optional batch normalisation and dropout.

    Each hidden layer is linear, then batch norm if asked for, then the activation, then dropout if asked for.

    Args:
        hidden_sizes: Units in each hidden layer, each at least 1; an empty list is softmax regression.
        activation: A name in `zoo.activations`.
        weight_init: Initial values of the weights, a name in `zoo.initialisers`.
        bias_init: Initial values of the biases: zeros, uniform or normal; unused with batch norm.
        dropout: Probability of dropping a hidden unit's output while training, 0 ≤ p < 1 (the lecture's
            ``keep_prob`` is 1 − p). Srivastava et al., "Dropout", JMLR 2014.
        batch_norm: Normalise every layer before its activation, the output layer too, with a learned shift, no
            scale and no biases: running averages keep 0.9 of their old value at each step, ε is 0.001. Ioffe and
            Szegedy, "Batch normalization", ICML 2015.
        **training: How it is trained, as in `Classifier`.

    Raises:
        UsageError: A size, rate or name is wrong.
    """

    def __init__(
        self,
        hidden_sizes: Sequence[int] = (256, 256),
        activation: str = "relu",
        weight_init: str = "xavier_uniform",
        bias_init: str = "zeros",
        dropout: float = 0.0,
        batch_norm: bool = False,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        if not all(1 <= size <= LARGEST_LAYER for size in hidden_sizes):
            raise UsageError(
                f"hidden_sizes is {list(hidden_sizes)}, but every layer has at least 1 unit and at most "
                f"{LARGEST_LAYER}."
            )
        if not 0 <= dropout < 1:
            raise UsageError(f"dropout is {dropout}, but it is the probability of dropping a unit: 0 ≤ p < 1.")
        sizes = [784, *hidden_sizes, 10]
        layers: list[nn.Module] = [nn.Flatten()]
        for depth, (fan_in, fan_out) in enumerate(itertools.pairwise(sizes), start=1):
            linear = nn.Linear(fan_in, fan_out, bias=not batch_norm)
            initialise(linear, weight_init, bias_init)
            layers.append(linear)
            if batch_norm:
                layers.append(_shifting_batch_norm(fan_out))
            if depth <= len(hidden_sizes):
                layers.append(make_activation(activation))
                if dropout:
                    layers.append(nn.Dropout(dropout))
        self.net = nn.Sequential(*layers)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits


def _shifting_batch_norm(units: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(units, eps=0.001, momentum=0.1)
    # TensorFlow's layer, which the lecture uses, learns no scale: before a ReLU the next layer's weights can do it.
    norm.weight.requires_grad_(False)
    return norm
