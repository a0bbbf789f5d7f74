"""The fully connected feed-forward net: most of the lecture's systems are one of these."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from zoo.layers.activations import inputs_for, make_activation
from zoo.layers.initializers import initialize
from zoo.models.classifier import Classifier
from zoo.utils.checks import check_fractions, check_layer_sizes


class MLP(Classifier):
    """A multilayer perceptron, 784-hidden-…-10, with optional batch normalization and dropout.

    Each hidden layer is linear, then batch norm if asked for, then the activation, then dropout if asked for.

    Args:
        hidden_sizes: Units in each hidden layer, each at least 1; an empty list is softmax regression.
        activation: A name in `zoo.layers.activations`.
        weight_init: Initial values of the weights, a name in `zoo.layers.initializers`.
        bias_init: Initial values of the biases: zeros, uniform or normal; unused with batch norm.
        dropout: Probability of dropping a hidden unit's output while training, 0 ≤ p < 1 (the lecture's
            ``keep_prob`` is 1 − p). Srivastava et al., "Dropout", JMLR 2014.
        batch_norm: Normalize every layer before its activation, the output layer too, with a learned shift, no
            scale and no biases: running averages keep 0.9 of their old value at each step, ε is 0.001. Ioffe and
            Szegedy, "Batch normalization", ICML 2015.
        alpha_dropout: Drop units to the least value of a SELU and keep their mean and variance, so that a
            self-normalizing net stays one. Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017.
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
        alpha_dropout: bool = False,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_layer_sizes(hidden_sizes)
        check_fractions(dropout=dropout)
        drop = nn.AlphaDropout if alpha_dropout else nn.Dropout
        sizes = [784, *hidden_sizes, self.hparams["num_classes"]]
        layers: list[nn.Module] = [nn.Flatten()]
        for depth, (fan_in, units) in enumerate(itertools.pairwise(sizes), start=1):
            hidden = depth <= len(hidden_sizes)
            fan_out = inputs_for(activation, units) if hidden else units
            linear = nn.Linear(fan_in, fan_out, bias=not batch_norm)
            initialize(linear, weight_init, bias_init)
            layers.append(linear)
            if batch_norm:
                layers.append(_shifting_batch_norm(fan_out))
            if hidden:
                layers.append(make_activation(activation))
                if dropout:
                    layers.append(drop(dropout))
        self.net = nn.Sequential(*layers)

    def feature_names(self) -> list[str]:
        """Return the names of the weights and buffers below the output layer; its batch norm is a part of it."""
        last = int(self._named_output_layer()[0].rpartition(".")[2])
        return [name for name in self.state_dict() if int(name.split(".")[1]) < last]

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits

    def layers_in_order(self) -> Iterable[nn.Module] | None:
        """Return the layers, from the bottom up, unless a subclass does something else with them."""
        return self.net if type(self).forward is MLP.forward else None


def _shifting_batch_norm(units: int) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(units, eps=0.001, momentum=0.1)
    # TensorFlow's layer, which the lecture uses, learns no scale: before a ReLU the next layer's weights can do it.
    norm.weight.requires_grad_(False)
    return norm
