"""Base class of the image data modules: splits in memory, and a batch order that does not depend on the devices."""

from __future__ import annotations

import hashlib
import os
import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from pytorch_lightning import LightningDataModule
from pytorch_lightning.trainer.states import TrainerStatus
from torch.utils.data import DataLoader

from zoo.data.augmentation import AugmentedBatches, check_augment
from zoo.data.batches import Batch, ImageBatches
from zoo.data.loader import make_loader
from zoo.data.sampler import EpochCounter, ExactSampler
from zoo.utils.checks import check_seeds, join_names
from zoo.utils.errors import UsageError

MAX_BATCH_SIZE = 1_000_000

CLASS_NAMES, PREPROCESS, DIGEST = "class_names", "preprocess", "digest"
"""Keys of the data module's state in a checkpoint."""
DIGITS = tuple(str(digit) for digit in range(10))


class ImageDataModule(LightningDataModule, ABC):
    """Images of 28×28 pixels as batches ``(images, labels)``: float32 ``(B, 1, 28, 28)`` in [0, 1] and int64 ``(B,)``.

    Subclasses fill `splits` in `setup`, under the names ``train``, ``validation`` and ``test``.

    Args:
        batch_size: Images per training step, summed over all devices, so that a config trains the same network on one
            device and on several. Must be a multiple of the number of devices.
        eval_batch_size: Images per batch in validation, test and prediction. Does not change the results.
        seed: Seed of the order and the augmentation of the training images. None means the seed given to
            ``seed_everything``, or 0.
        with_indices: Whether batches are ``(images, labels, indices)``.
        augment: Augmentation of the training images, a name in `zoo.data.augmentation`.
        augment_strength: Strength of the augmentation, 0 or more.

    Raises:
        UsageError: A size is out of range, or a name is unknown.
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
            if not 1 <= size <= MAX_BATCH_SIZE:
                raise UsageError(f"{name} is {size}, but a batch holds at least 1 image and at most {MAX_BATCH_SIZE}.")
        check_seeds(seed=seed or 0)
        check_augment(augment, augment_strength)
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.seed = seed if seed is not None else int(os.environ.get("PL_GLOBAL_SEED", 0))
        self.with_indices = with_indices
        self.augment = augment
        self.augment_strength = augment_strength
        self.command: str | None = None
        """The verb of the command line, if there is one. The test at the end of a training belongs to ``fit``."""
        self.splits: dict[str, ImageBatches] = {}
        self._epochs = EpochCounter()

    @property
    @abstractmethod
    def class_names(self) -> Sequence[str]:
        """Names of the classes, in the order of their labels."""

    def state_dict(self) -> dict[str, Any]:
        """Return the class names, for checkpoints."""
        return {CLASS_NAMES: list(self.class_names)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that the class names are those of the checkpoint.

        Raises:
            UsageError: The class names differ.
        """
        known = state_dict.get(CLASS_NAMES, list(self.class_names))
        if not isinstance(known, list) or not all(isinstance(name, str) for name in known):
            raise UsageError("The checkpoint's class names are damaged: take another copy of it, or the one before.")
        if known != list(self.class_names):
            raise UsageError(
                f"The checkpoint was trained on the classes {join_names(known)}, and these are "
                f"{join_names(self.class_names)}: name the data that belongs to it."
            )

    def training_set(self) -> ImageBatches:
        """Return the training images in their original order.

        Raises:
            UsageError: ``setup("fit")`` was not called before.
        """
        return self._split("train")

    def digest(self) -> str:
        """Return the SHA-256 of the training images, labels and rows, which processes compare with each other."""
        split = self._split("train")
        found = hashlib.sha256()
        for part in (split.images, split.labels, split.rows):
            found.update(part.cpu().numpy().tobytes())
        return found.hexdigest()

    def batch_size_per_process(self, processes: int) -> int:
        """Return the number of images per training step of each process.

        Raises:
            UsageError: The batch size is not a multiple of ``processes``.
        """
        if self.batch_size % processes:
            lower = self.batch_size - self.batch_size % processes
            raise UsageError(
                f"batch_size {self.batch_size} cannot be shared by {processes} devices equally: "
                f"choose {lower or processes} or {lower + processes}."
            )
        return self.batch_size // processes

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the training batches. Their order is a function of the seed and the epoch.

        In a loop without a Trainer, each pass over them is an epoch, also when every pass asks for a new loader.
        """
        return self.loader(self.training_split(), self.batch_size_per_process(_rank_and_world_size()[1]), training=True)

    def training_split(self) -> str:
        """Return the name of the split that is used for training in the current epoch."""
        return "train"

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Return the validation batches, or an empty list, which Lightning skips, if no image has a label."""
        return self._loader_or_empty("validation")

    def test_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Return the test batches in the original order, or an empty list if no image has a label."""
        return self._loader_or_empty("test")

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Return the test batches with indices, by which predictions can be sorted."""
        return self.loader("test", self.eval_batch_size, with_indices=True)

    def _split(self, name: str) -> ImageBatches:
        if name not in self.splits:
            raise UsageError(f"The {name} images are not in memory yet: call prepare_data() and setup() first.")
        return self.splits[name]

    def _loader_or_empty(self, split: str) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        found = self._split(split)
        if len(found) and int(found.labels[0]) >= 0:
            return self.loader(split, self.eval_batch_size)
        # Lightning's warning is of no use: the user asked for an empty split, or the images have no labels.
        warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
        return []

    def teardown(self, stage: str) -> None:
        """Move the images to the CPU, where Lightning moves the network after a training or a test."""
        moved = {name: split for name, split in self.splits.items() if split.images.device.type != "cpu"}
        self.splits.update({name: split.to(torch.device("cpu")) for name, split in moved.items()})

    def loader(
        self, split: str, batch_size: int, *, training: bool = False, with_indices: bool = False
    ) -> DataLoader[Batch]:
        """Return a loader of this process's share of a split.

        Args:
            split: A name in `splits`.
            batch_size: Images per batch of this process.
            training: Whether to shuffle in every epoch and augment the images.
            with_indices: Include the indices even if the data module's ``with_indices`` is False.

        Raises:
            UsageError: The split is empty, was not set up, or has fewer images than there are processes.
        """
        rank, processes = _rank_and_world_size()
        dataset = self._split(split)
        if self.trainer:
            # The images stay on the accelerator, so that batches need not be copied to it. The network leaves it at the
            # end, and they follow.
            is_running = self.trainer.state.status == TrainerStatus.RUNNING
            device = self.trainer.strategy.root_device if is_running else torch.device("cpu")
            self.splits[split] = dataset = dataset.to(device)
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
            epochs=self._epochs if training else None,
        )
        if len(dataset) % processes and not training:
            batch_size = _batch_size_for_equal_counts(batch_size, -(-len(dataset) // processes))
        return make_loader(dataset, sampler, batch_size)


def _rank_and_world_size() -> tuple[int, int]:
    """Return this process's rank and the number of processes.

    They come from torch.distributed, which knows them even if no Trainer is attached.
    """
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_rank(), torch.distributed.get_world_size()
    return 0, 1


def _batch_size_for_equal_counts(batch_size: int, share: int) -> int:
    """Return the smallest size ≥ ``batch_size`` that cuts ``share`` and ``share - 1`` images into equally many batches.

    With batch norm, processes synchronize in every batch. A process with more batches than the others would wait
    forever.
    """
    while share > 1 and -(-share // batch_size) != -(-(share - 1) // batch_size):
        batch_size += 1
    return batch_size
