"""Softmax regression: a network without hidden layers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from torch import Tensor, nn

from zoo.layers.initializers import initialize
from zoo.models.classifier import Classifier


class SoftmaxRegression(Classifier):
    """Multinomial logistic regression, 784-10: logits = xW + b.

    Args:
        weight_init: Initialization of W, a name in `zoo.layers.initializers`.
        bias_init: Initialization of b: zeros, uniform or normal.
        **training: Training arguments, as in `Classifier`.
    """

    def __init__(self, weight_init: str = "normal", bias_init: str = "normal", **training: Any) -> None:
        super().__init__(**training)
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, self.hparams["num_classes"]))
        initialize(self.net[1], weight_init, bias_init)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""
        logits: Tensor = self.net(images)
        return logits

    def layers_in_order(self) -> Iterable[nn.Module] | None:
        """Return the layers, from input to output; None if a subclass overrides `forward`."""
        return self.net if type(self).forward is SoftmaxRegression.forward else None
