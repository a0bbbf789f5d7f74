"""Multilayer perceptron, the architecture of most of the lecture's networks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from zoo.layers.activations import make_activation, preactivation_size
from zoo.layers.initializers import initialize
from zoo.models.classifier import Classifier
from zoo.utils.checks import check_fractions, check_layer_sizes, fractions_by_layer


class MLP(Classifier):
    """A multilayer perceptron, 784-hidden-…-10, with optional batch normalization and dropout.

    Each hidden layer is a linear layer, optional batch norm, the activation and optional dropout, in this order.

    Args:
        hidden_sizes: Units in each hidden layer, each at least 1; an empty list is softmax regression.
        activation: A name in `zoo.layers.activations`.
        weight_init: Weight initialization, a name in `zoo.layers.initializers`.
        bias_init: Bias initialization: zeros, uniform or normal; unused with batch norm.
        dropout: Probability of dropping a hidden unit's output in training, one for all or one for each layer. 0 ≤ p
            < 1; the lecture's ``keep_prob`` is 1 − p. Srivastava et al., "Dropout", JMLR 2014.
        input_dropout: Probability of dropping a pixel in training, 0 ≤ p < 1.
        batch_norm: Apply batch norm to every linear layer before its activation, the output layer included, with a
            learned shift but no scale; the linear layers then have no biases. At each step running averages keep 0.9 of
            their old value; ε is 0.001. Ioffe and Szegedy, "Batch normalization", ICML 2015.
        batch_norm_scale: Let batch norm learn a scale too. Before a ReLU the next layer's weights can learn it, but
            without it the logits of a batch have the variance 1, so that no prediction can be certain.
        alpha_dropout: Use alpha dropout, which sets dropped units to the smallest value of SELU and preserves mean and
            variance, so that self-normalization is kept. Klambauer et al., "Self-normalizing neural networks",
            NeurIPS 2017.
        **training: Training arguments, as in `Classifier`.

    Raises:
        UsageError: A size or rate is out of range or a name is unknown.
    """

    def __init__(
        self,
        hidden_sizes: Sequence[int] = (256, 256),
        activation: str = "relu",
        weight_init: str = "xavier_uniform",
        bias_init: str = "zeros",
        dropout: float | Sequence[float] = 0.0,
        input_dropout: float = 0.0,
        batch_norm: bool = False,
        batch_norm_scale: bool = False,
        alpha_dropout: bool = False,
        **training: Any,
    ) -> None:
        super().__init__(**training)
        check_layer_sizes(hidden_sizes)
        check_fractions(input_dropout=input_dropout)
        rates = fractions_by_layer(dropout, len(hidden_sizes), "dropout")
        dropout_class = nn.AlphaDropout if alpha_dropout else nn.Dropout
        sizes = [784, *hidden_sizes, self.hparams["num_classes"]]
        layers: list[nn.Module] = [nn.Flatten()]
        if input_dropout:
            layers.append(nn.Dropout(input_dropout))
        for depth, (fan_in, units) in enumerate(itertools.pairwise(sizes), start=1):
            is_hidden = depth <= len(hidden_sizes)
            fan_out = preactivation_size(activation, units) if is_hidden else units
            linear = nn.Linear(fan_in, fan_out, bias=not batch_norm)
            initialize(linear, weight_init, bias_init)
            layers.append(linear)
            if batch_norm:
                layers.append(_batch_norm(fan_out, batch_norm_scale))
            if is_hidden:
                layers.append(make_activation(activation))
                if rate := rates[depth - 1]:
                    layers.append(dropout_class(rate))
        self.net = nn.Sequential(*layers)

    def feature_names(self) -> list[str]:
        """Return the names of the weights and buffers below the output layer, which includes its batch norm."""
        output_index = int(self._named_output_layer()[0].rpartition(".")[2])
        return [name for name in self.state_dict() if int(name.split(".")[-2]) < output_index]

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits

    def layers_in_order(self) -> Iterable[nn.Module] | None:
        """Return the layers, from input to output; None if a subclass overrides `forward`."""
        return self.net if type(self).forward is MLP.forward else None


def _batch_norm(units: int, scale: bool) -> nn.BatchNorm1d:
    norm = nn.BatchNorm1d(units, eps=0.001, momentum=0.1)
    # As TensorFlow's layer in the lecture: before a ReLU the next layer's weights can learn the scale.
    norm.weight.requires_grad_(scale)
    return norm
