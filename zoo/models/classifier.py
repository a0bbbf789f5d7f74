"""The base of every member: images in, logits out, one way of training and counting."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from pathlib import Path
from typing import IO, Any, Self

import torch
import torch.nn.functional as F
from pytorch_lightning import LightningModule
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR

from zoo.checkpoint import CLASS_PATH, load_into, read_checkpoint
from zoo.class_paths import class_path_of
from zoo.errors import UsageError, unknown_name
from zoo.metrics import ClassificationTotals

OPTIMISERS = ("adam", "adamw", "sgd")
SCHEDULES = ("constant", "cosine")


class Classifier(LightningModule, ABC):
    """A LightningModule that classifies images by cross-entropy; subclasses say what the network is.

    A subclass takes its architecture's arguments, passes the rest on as ``**training``, and defines
    ``forward(images)``: float32 ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``. All arguments are primitives and
    are saved in checkpoints. Logged once per epoch: ``train_loss``, ``train_acc``, ``val_loss``, ``val_acc``,
    ``test_loss``, ``test_acc`` (mean cross-entropy in nats, without the L2 term, and the fraction that is right), and
    ``test_errors``, a whole number of images.

    Args:
        optimizer: ``adam`` (Kingma and Ba, 2015), ``adamw`` (Loshchilov and Hutter, 2019) or ``sgd``.
        lr: Learning rate, more than 0.
        momentum: For ``sgd``, 0 ≤ m < 1; the others ignore it.
        weight_decay: The optimiser's own, 0 or more.
        l2: λ of the lecture's regularisation: the cost that is minimised is the cross-entropy + λ·Σw² over all
            weights and no biases, 0 or more.
        lr_schedule: ``constant``, or ``cosine`` down to 0 over the whole training.

    Raises:
        UsageError: A name is unknown or a number out of range.
    """

    def __init__(
        self,
        optimizer: str = "adam",
        lr: float = 0.001,
        momentum: float = 0.9,
        weight_decay: float = 0.0,
        l2: float = 0.0,
        lr_schedule: str = "constant",
    ) -> None:
        super().__init__()
        if optimizer not in OPTIMISERS:
            raise unknown_name("optimizer", optimizer, OPTIMISERS)
        if lr_schedule not in SCHEDULES:
            raise unknown_name("lr_schedule", lr_schedule, SCHEDULES)
        if not 0 < lr < math.inf:
            raise UsageError(f"lr is {lr}, but a learning rate is a number that is more than 0.")
        if not 0 <= momentum < 1:
            raise UsageError(f"momentum is {momentum}, but it must be 0 or more and less than 1.")
        for name, value in {"weight_decay": weight_decay, "l2": l2}.items():
            if not 0 <= value < math.inf:
                raise UsageError(f"{name} is {value}, but it must be a number that is 0 or more.")
        self.save_hyperparameters()
        self.train_totals = ClassificationTotals()
        self.val_totals = ClassificationTotals()
        self.test_totals = ClassificationTotals()

    @abstractmethod
    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``."""

    def training_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Return the cost of a batch ``(images, labels, …)``, a scalar in nats."""
        images, labels, *_ = batch
        logits = self(images)
        loss = F.cross_entropy(logits, labels)
        self.train_totals.update(loss, logits, labels)
        return loss + self.l2_penalty() if self.hparams["l2"] else loss

    def validation_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Count a batch of the validation set."""
        self._count(self.val_totals, batch)

    def test_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> None:
        """Count a batch of the test set."""
        self._count(self.test_totals, batch)

    def predict_step(self, batch: tuple[Tensor, ...], batch_idx: int) -> Tensor:
        """Return the probabilities ``(B, 10)`` of a batch ``(images, …)``."""
        images, *_ = batch
        return torch.softmax(self(images), dim=1)

    def on_train_start(self) -> None:
        """Refuse to prolong a cosine that was to end elsewhere: its next half would climb."""
        schedulers = self.lr_schedulers()
        cosine = schedulers[0] if isinstance(schedulers, list) and schedulers else schedulers
        if isinstance(cosine, CosineAnnealingLR) and cosine.T_max != self.trainer.estimated_stepping_batches:
            raise UsageError(
                f"lr_schedule cosine was made to end at 0 after {cosine.T_max} steps and cannot be prolonged: set "
                "trainer.max_epochs as it was, or train anew."
            )

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means once: logging each step would cost as much as Lightning's whole loop."""
        self._log_totals("train", self.train_totals)

    def on_validation_epoch_end(self) -> None:
        """Log the validation set's figures."""
        self._log_totals("val", self.val_totals)

    def on_test_epoch_end(self) -> None:
        """Log the test set's figures."""
        self._log_totals("test", self.test_totals)

    def running_cost(self) -> float:
        """The mean cross-entropy so far in this epoch on this device, for the progress bar."""
        return float(self.train_totals.loss_sum / self.train_totals.examples.clamp(min=1))

    def l2_penalty(self) -> Tensor:
        """Return λ·Σw² over every trainable tensor of two dimensions or more: the weights, not the biases."""
        squares = [w.square().sum() for w in self.parameters() if w.requires_grad and w.dim() > 1]
        penalty: Tensor = self.hparams["l2"] * torch.stack(squares).sum()
        return penalty

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Make the optimiser and, for ``cosine``, its schedule over all steps of the training."""
        optimizer = self._make_optimizer()
        if self.hparams["lr_schedule"] == "constant":
            return optimizer
        steps = self.trainer.estimated_stepping_batches
        if steps == float("inf"):
            raise UsageError("lr_schedule cosine needs to know the end: set trainer.max_epochs or max_steps.")
        cosine = CosineAnnealingLR(optimizer, T_max=int(steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cosine, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Note which class the arguments belong to, so that no other one is ever made from them."""
        checkpoint[self.CHECKPOINT_HYPER_PARAMS_KEY][CLASS_PATH] = class_path_of(type(self))

    @classmethod
    def load_from_checkpoint(  # type: ignore[override]
        cls,
        checkpoint_path: str | Path | IO[bytes],
        map_location: Any = "cpu",
        hparams_file: None = None,
        strict: bool = True,
        weights_only: bool = True,
        **arguments: Any,
    ) -> Self:
        """Return the network in a checkpoint of this class.

        Lightning's method, made safe: whatever its arguments, it reads local files only, never runs anything in
        them, loads every weight, and refuses a checkpoint of another class.

        Args:
            checkpoint_path: The file.
            map_location: The device for the network.
            hparams_file: Not used: the arguments are in the checkpoint.
            strict: Only True is accepted.
            weights_only: Only True is accepted.
            **arguments: Arguments that replace the checkpoint's.

        Raises:
            UsageError: The file is missing, damaged, unsafe or of another class or architecture.
        """
        if not (strict and weights_only and hparams_file is None and isinstance(checkpoint_path, str | Path)):
            raise UsageError("A checkpoint is loaded from a file, whole and without code: strict, weights_only.")
        checkpoint = read_checkpoint(checkpoint_path)
        if checkpoint.class_path not in (None, class_path_of(cls)):
            raise UsageError(f"{checkpoint.path} holds a {checkpoint.class_path}, not a {class_path_of(cls)}.")
        model = cls(**{**checkpoint.arguments, **arguments})
        load_into(model, checkpoint)
        return model.to(map_location)

    def _make_optimizer(self) -> Optimizer:
        h = self.hparams
        parameters = [parameter for parameter in self.parameters() if parameter.requires_grad]
        settings: dict[str, Any] = {"lr": h["lr"], "weight_decay": h["weight_decay"], "fused": True}
        if h["optimizer"] == "sgd":
            return SGD(parameters, momentum=h["momentum"], **settings)
        return (Adam if h["optimizer"] == "adam" else AdamW)(parameters, **settings)

    def _count(self, totals: ClassificationTotals, batch: tuple[Tensor, ...]) -> None:
        images, labels, *_ = batch
        logits = self(images)
        totals.update(F.cross_entropy(logits, labels), logits, labels)

    def _log_totals(self, split: str, totals: ClassificationTotals) -> None:
        figures = totals.compute()
        totals.reset()
        if split != "test":
            del figures["errors"]
        # The totals are summed over the devices already; "max" over equal values lets every device have them exactly.
        self.log_dict(
            {f"{split}_{name}": value.float() for name, value in figures.items()},
            reduce_fx="max",
            sync_dist=True,
        )
