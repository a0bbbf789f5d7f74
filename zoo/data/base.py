"""What the DataModules have in common: three splits in memory, batches in an exact order, equal on any devices."""

from __future__ import annotations

import hashlib
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from zoo.data.augmentation import AugmentedBatches, check_augment
from zoo.data.batches import Batch, ImageBatches
from zoo.data.loader import make_loader
from zoo.data.sampler import ExactSampler
from zoo.utils.checks import check_seeds, listed
from zoo.utils.errors import UsageError

LARGEST_BATCH = 1_000_000

CLASS_NAMES, PREPROCESS = "class_names", "preprocess"
"""In the part of a checkpoint that is the DataModule's."""
DIGITS = tuple(str(digit) for digit in range(10))


class ImageDataModule(LightningDataModule, ABC):
    """Images of 28×28 pixels as batches ``(images, labels)``: float32 ``(B, 1, 28, 28)`` in [0, 1] and int64 ``(B,)``.

    A subclass's `setup` fills `splits`, whose names are ``train``, ``validation`` and ``test``.

    Args:
        batch_size: Images in a training step, over all devices together, so that a config trains the same network
            on one device and on several; a multiple of the number of devices.
        eval_batch_size: Images in a batch of validation, test and prediction; changes no result.
        seed: Chooses the order of the training images in each epoch; None means the seed given to
            ``seed_everything``, or 0.
        with_indices: Batches become ``(images, labels, indices)``.
        augment: How training images are distorted, a name in `zoo.data.augmentation`.
        augment_strength: How much, 0 or more.

    Raises:
        UsageError: A size is out of range, or a name unknown.
    """

    def __init__(
        self,
        batch_size: int,
        eval_batch_size: int,
        seed: int | None,
        with_indices: bool,
        augment: str,
        augment_strength: float,
    ) -> None:
        super().__init__()
        for name, size in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if not 1 <= size <= LARGEST_BATCH:
                raise UsageError(f"{name} is {size}, but a batch holds at least 1 image and at most {LARGEST_BATCH}.")
        check_seeds(seed=seed or 0)
        check_augment(augment, augment_strength)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.seed = seed if seed is not None else int(os.environ.get("PL_GLOBAL_SEED", 0))
        self.with_indices = with_indices
        self.augment = augment
        self.augment_strength = augment_strength
        self.splits: dict[str, ImageBatches] = {}

    @property
    @abstractmethod
    def class_names(self) -> Sequence[str]:
        """What the labels 0, 1, … are called."""

    def state_dict(self) -> dict[str, Any]:
        """Return what the classes are called, for checkpoints."""
        return {CLASS_NAMES: list(self.class_names)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare with what a checkpoint was trained on.

        Raises:
            UsageError: The classes are others.
        """
        if (known := list(state_dict.get(CLASS_NAMES, self.class_names))) != list(self.class_names):
            raise UsageError(
                f"The checkpoint was trained on the classes {listed(known)}, and these are "
                f"{listed(self.class_names)}: name the data that belongs to it."
            )

    def training_set(self) -> ImageBatches:
        """Return the images that are trained on, in their own order; after ``setup("fit")``."""
        return self.splits["train"]

    def digest(self) -> str:
        """Return a SHA-256 of the images, labels and rows that are trained on: processes compare it."""
        split = self.splits["train"]
        found = hashlib.sha256()
        for part in (split.images, split.labels, split.rows):
            found.update(part.cpu().numpy().tobytes())
        return found.hexdigest()

    def batch_size_of_each(self, processes: int) -> int:
        """Return how many images of a training step each process takes.

        Raises:
            UsageError: The batch cannot be shared equally.
        """
        if self.batch_size % processes:
            lower = self.batch_size - self.batch_size % processes
            raise UsageError(
                f"batch_size {self.batch_size} cannot be shared by {processes} devices equally: "
                f"choose {lower or processes} or {lower + processes}."
            )
        return self.batch_size // processes

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training set, in an order that is a function of (seed, epoch)."""
        return self.loader(self.training_split(), self.batch_size_of_each(_processes()[1]), training=True)

    def training_split(self) -> str:
        """Return the name of the split that the current epoch trains on."""
        return "train"

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Batches of the validation set; an empty list, which Lightning skips, when there is none."""
        return self._loader_or_none("validation")

    def test_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Batches of the test set, in its own order; an empty list when there is none."""
        return self._loader_or_none("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Batches of the test set with their indices, so that predictions can be put into order."""
        return self.loader("test", self.eval_batch_size, with_indices=True)

    def _loader_or_none(self, split: str) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        if len(self.splits[split]):
            return self.loader(split, self.eval_batch_size)
        # It is the intention: the user asked for none.
        warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
        return []

    def loader(
        self, split: str, batch_size: int, *, training: bool = False, with_indices: bool = False
    ) -> DataLoader[Batch]:
        """Return this process's share of a split.

        Args:
            split: A name in `splits`.
            batch_size: Images in a batch of this process.
            training: Whether the order changes with the epoch and the images are distorted.
            with_indices: Whether batches carry the indices whatever the DataModule's argument says.

        Raises:
            UsageError: There are no images, or fewer than processes.
        """
        rank, processes = _processes()
        if self.trainer:
            # On an accelerator the images live there, and no batch is ever copied.
            self.splits[split] = self.splits[split].to(self.trainer.strategy.root_device)
        dataset = self.splits[split]
        if not len(dataset):
            raise UsageError(f"The data has no {split} images: take some more, or another share of them.")
        if len(dataset) < processes:
            raise UsageError(f"{len(dataset)} {split} images cannot be shared by {processes} processes.")
        if with_indices:
            dataset = ImageBatches(dataset.images, dataset.labels, dataset.rows, with_indices=True)
        if training and self.augment != "none":
            dataset = AugmentedBatches(dataset, self.augment, self.augment_strength, self.seed)
        sampler = ExactSampler(
            len(dataset),
            shuffle=training,
            seed=self.seed,
            num_replicas=processes,
            rank=rank,
            equal_shares=training,
        )
        if len(dataset) % processes and not training:
            batch_size = _same_number_of_batches(batch_size, -(-len(dataset) // processes))
        return make_loader(dataset, sampler, batch_size)


def _processes() -> tuple[int, int]:
    """This process's rank and how many there are.

    Torch knows it in every process, whether a Trainer is attached or not.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _same_number_of_batches(batch_size: int, share: int) -> int:
    """Return the next batch size that cuts ``share`` and ``share - 1`` images into equally many batches.

    Processes talk to each other in every batch when the network has batch norm: one that had a batch more than the
    others would wait for ever.
    """
    while share > 1 and -(-share // batch_size) != -(-(share - 1) // batch_size):
        batch_size += 1
    return batch_size
