"""The base of modules that count losses and errors, and log their means once an epoch."""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from typing import ClassVar

from torch import Tensor

from zoo.metrics.classification import ClassificationTotals
from zoo.models.base import ZooModule
from zoo.utils.wording import counted


class CountingModule(ZooModule, ABC):
    """Logs ``train_loss``, ``train_acc``, ``val_loss``, ``val_acc``, ``test_loss``, ``test_acc`` and ``test_errors``.

    Its subclass adds every batch to `train_totals`, `val_totals` or `test_totals`.
    """

    test_images: int | None = None
    """How many images the last test has counted, on all devices together."""
    logged_metrics: ClassVar[frozenset[str]] = frozenset({"train_loss", "train_acc", "val_loss", "val_acc"})

    def __init__(self) -> None:
        super().__init__()
        self.train_totals = ClassificationTotals()
        self.val_totals = ClassificationTotals()
        self.test_totals = ClassificationTotals()

    def on_train_epoch_end(self) -> None:
        """Log the epoch's means once: logging each step would cost as much as Lightning's whole loop."""
        self._log_totals("train", self.train_totals)

    def on_validation_epoch_end(self) -> None:
        """Log the validation set's metrics."""
        self._log_totals("val", self.val_totals)

    def on_test_epoch_end(self) -> None:
        """Log the test set's metrics."""
        self._log_totals("test", self.test_totals)

    def validation_summary(self, metrics: Mapping[str, Tensor]) -> str | None:
        """Say the accuracy and the loss."""
        return f"accuracy {metrics['val_acc']:.4f}, loss {metrics['val_loss']:.4f}" if "val_acc" in metrics else None

    def test_summary(self, metrics: Mapping[str, Tensor]) -> str | None:
        """Say the accuracy and the number of errors."""
        if "test_acc" not in metrics:
            return None
        return f"accuracy {metrics['test_acc']:.4f}, {counted(int(metrics['test_errors']), 'error')}"

    def _log_totals(self, split: str, totals: ClassificationTotals) -> None:
        if not totals.update_called and not totals.examples:  # a subclass's own step counts nothing
            return
        metrics = totals.compute()
        totals.reset()
        images = metrics.pop("examples")
        if split == "test":
            self.test_images = int(images)
        else:
            del metrics["errors"]
        # The totals are summed over the devices already; "max" over equal values lets every device have them exactly.
        self.log_dict(
            {f"{split}_{name}": value.float() for name, value in metrics.items()},
            reduce_fx="max",
            sync_dist=True,
        )
