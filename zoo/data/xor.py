"""The XOR problem: the smallest one that a network without a hidden layer cannot learn."""

from __future__ import annotations

import torch
from pytorch_lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from zoo.utils.checks import check_counts
from zoo.utils.errors import UsageError

INPUTS = ((0.0, 0.0), (0.0, 1.0), (1.0, 0.0), (1.0, 1.0))
LABELS = (0, 1, 1, 0)


class XORDataModule(LightningDataModule):
    """The four examples of XOR, used for training, validation and test alike.

    Batches are ``(inputs, labels)``: float32 ``(4, 2)`` of 0 and 1, and int64 ``(4,)``, 1 where the inputs differ.

    Args:
        steps_per_epoch: Steps per epoch, each on all four examples, at least 1.

    Raises:
        UsageError: ``steps_per_epoch`` is out of range.
    """

    def __init__(self, steps_per_epoch: int = 100) -> None:
        super().__init__()
        check_counts(least=1, steps_per_epoch=steps_per_epoch)
        self.save_hyperparameters()
        self.steps_per_epoch = steps_per_epoch

    def train_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return ``steps_per_epoch`` batches, each of the four examples."""
        return self._loader(self.steps_per_epoch)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Return one batch of the four examples."""
        return self._loader(1)

    test_dataloader = val_dataloader
    predict_dataloader = val_dataloader

    def setup(self, stage: str | None = None) -> None:
        """Check that there is only one process.

        Raises:
            UsageError: There are several processes.
        """
        is_distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
        if is_distributed and torch.distributed.get_world_size() > 1:
            raise UsageError("Four examples are too few to be shared: set trainer.devices 1.")

    def _loader(self, repeats: int) -> DataLoader[tuple[Tensor, ...]]:
        examples = TensorDataset(torch.tensor(INPUTS).repeat(repeats, 1), torch.tensor(LABELS).repeat(repeats))
        return DataLoader(examples, batch_size=len(INPUTS))
