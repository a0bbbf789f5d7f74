"""A small network for the exclusive-or problem, from the lecture's first slide."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn

from zoo.layers.activations import make_activation, preactivation_size
from zoo.layers.initializers import initialize
from zoo.metrics.classification import ClassificationTotals
from zoo.models.counting import CountingModule
from zoo.training.optimizers import check_optimizer, make_optimizer
from zoo.utils.checks import check_fractions, check_layer_sizes, check_positive


class XORNet(CountingModule):
    """A network that learns the exclusive or of two binary inputs, 2-5-4-1 in the lecture.

    The loss is the binary cross-entropy in nats. Logged once per epoch: ``train_loss``, ``train_acc``, ``val_loss`` and
    ``val_acc``; in ``test``: ``test_loss``, ``test_acc`` and ``test_errors``, out of four.

    Args:
        hidden_sizes: Units in each hidden layer, each at least 1; without a hidden layer the problem cannot be learned.
        activation: A name in `zoo.layers.activations`.
        weight_init: Weight initialization, a name in `zoo.layers.initializers`.
        bias_init: Bias initialization: zeros, uniform or normal.
        optimizer: A name in `zoo.training.optimizers`.
        lr: Learning rate, more than 0.
        momentum: For ``sgd`` and ``rmsprop``, 0 ≤ m < 1.

    Raises:
        UsageError: A name is unknown or a number is out of range.
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
            linear = nn.Linear(fan_in, preactivation_size(activation, units))
            layers += [linear, make_activation(activation)]
        layers.append(nn.Linear(sizes[-1], 1))
        for layer in layers:
            if isinstance(layer, nn.Linear):
                initialize(layer, weight_init, bias_init)
        self.net = nn.Sequential(*layers)

    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs ``(B, 2)`` to logits ``(B,)`` of the two inputs being different."""
        logits: Tensor = self.net(inputs).squeeze(1)
        return logits

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Return the loss of a batch ``(inputs, labels)``, a scalar in nats."""
        return self._loss(batch, self.train_totals)

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Update the validation metrics with a batch."""
        self._loss(batch, self.val_totals)

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Update the test metrics with a batch."""
        self._loss(batch, self.test_totals)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return the optimizer named in the arguments."""
        h = self.hparams
        return make_optimizer(
            h["optimizer"], self.parameters(), h["lr"], h["momentum"], 0.0, self.may_fuse_steps, self.device.type
        )

    def epoch_metrics(self, epoch: int) -> Mapping[str, str]:
        """Return the metrics in an epoch's line of output: logged name to label."""
        return {"train_loss": "train_loss", "val_acc": "accuracy"}

    def test_summary(self, metrics: Mapping[str, Tensor]) -> str | None:
        """Return a line with the number of correctly classified inputs and the loss."""
        if "test_errors" not in metrics:
            return None
        return f"{4 - int(metrics['test_errors'])} of 4 right, loss {metrics['test_loss']:.4f}"

    def _loss(self, batch: tuple[Tensor, ...], totals: ClassificationTotals) -> Tensor:
        inputs, labels, *_ = batch
        logits = self(inputs)
        loss = F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
        totals.update(loss, (logits > 0) != labels.bool())
        return loss
