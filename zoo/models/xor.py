"""The first slide's net: two inputs, two hidden layers of sigmoids, one output."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from zoo.layers.activations import inputs_for, make_activation
from zoo.layers.initializers import initialize
from zoo.metrics.classification import ClassificationTotals
from zoo.models.base import CountingModule
from zoo.training.optimizers import check_optimizer, make_optimizer
from zoo.utils.checks import check_fractions, check_layer_sizes, check_positive


class XORNet(CountingModule):
    """A net of two inputs and one output, 2-5-4-1 as the lecture has it, that says whether its inputs differ.

    The cost is the cross-entropy in nats. Logged once per epoch: ``train_loss``, ``train_acc``, ``val_loss``,
    ``val_acc``; in ``test`` ``test_loss``, ``test_acc`` and ``test_errors``, of four.

    Args:
        hidden_sizes: Units in each hidden layer, each at least 1; with none the problem cannot be learned.
        activation: A name in `zoo.layers.activations`.
        weight_init: Initial values of the weights, a name in `zoo.layers.initializers`.
        bias_init: Initial values of the biases: zeros, uniform or normal.
        optimizer: A name in `zoo.training.optimizers`.
        lr: Learning rate, more than 0.
        momentum: For ``sgd`` and ``rmsprop``, 0 ≤ m < 1.

    Raises:
        UsageError: A name is unknown or a number out of range.
    """

    training_arguments = ("optimizer", "lr", "momentum")
    input_shape = (2,)

    def __init__(
        self,
        hidden_sizes: Sequence[int] = (5, 4),
        activation: str = "sigmoid",
        weight_init: str = "uniform",
        bias_init: str = "zeros",
        optimizer: str = "sgd",
        lr: float = 0.5,
        momentum: float = 0.9,
    ) -> None:
        super().__init__()
        check_layer_sizes(hidden_sizes)
        check_optimizer(optimizer)
        check_positive(lr=lr)
        check_fractions(momentum=momentum)
        self.save_hyperparameters()
        layers: list[nn.Module] = []
        sizes = [2, *hidden_sizes]
        for fan_in, units in itertools.pairwise(sizes):
            linear = nn.Linear(fan_in, inputs_for(activation, units))
            layers += [linear, make_activation(activation)]
        layers.append(nn.Linear(sizes[-1], 1))
        for layer in layers:
            if isinstance(layer, nn.Linear):
                initialize(layer, weight_init, bias_init)
        self.net = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs ``(B, 2)`` to the logit ``(B,)`` of their being different; its sigmoid is the probability."""
        logits: Tensor = self.net(inputs).squeeze(1)
        return logits

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Return the cost of a batch ``(inputs, labels)``, a scalar in nats."""
        return self._cost(batch, self.train_totals)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Count a batch."""
        self._cost(batch, self.val_totals)

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Count a batch."""
        self._cost(batch, self.test_totals)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimizer that the arguments name."""
        h = self.hparams
        return make_optimizer(h["optimizer"], self.parameters(), h["lr"], h["momentum"], 0.0, self.may_fuse_steps)

    def epoch_metrics(self, epoch: int) -> Mapping[str, str]:
        """What the line of an epoch says."""
        return {"train_loss": "cost", "val_acc": "accuracy"}

    def test_summary(self, figures: Mapping[str, Tensor]) -> str | None:
        """Say how many of the four are right."""
        if "test_errors" not in figures:
            return None
        return f"{4 - int(figures['test_errors'])} of 4 right, cost {figures['test_loss']:.4f}"

    def _cost(self, batch: tuple[Tensor, ...], totals: ClassificationTotals) -> Tensor:
        inputs, labels, *_ = batch
        logits = self(inputs)
        cost = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        totals.update(cost, F.pad(logits.unsqueeze(1), (1, 0)), labels)  # as the logits of two classes
        return cost
