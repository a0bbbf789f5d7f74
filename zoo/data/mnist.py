"""The DataModule that every member shares."""

from __future__ import annotations

import hashlib
import os
import warnings
from pathlib import Path

import torch
from pytorch_lightning import LightningDataModule
from torch.utils.data import DataLoader

from zoo.data.archives import default_data_dir
from zoo.data.batches import Batch, ImageBatches, balanced_subset
from zoo.data.distortion import DistortedBatches, check_augment
from zoo.data.loader import make_loader
from zoo.data.sampler import ExactSampler
from zoo.errors import UsageError

TRAINING_IMAGES = 60_000
"""Images in the official training archives; the test archives hold 10,000 more."""

LARGEST_BATCH = 1_000_000


class MNISTDataModule(LightningDataModule):
    """MNIST as batches ``(images, labels)``: float32 ``(B, 1, 28, 28)`` in [0, 1] and int64 ``(B,)`` in 0..9.

    The first ``val_size`` of the 60,000 training images are the validation set, the others the training set; the
    10,000 test images are only ever the test set. MNIST's archives come with the package.
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 1998.

    Args:
        data_dir: Where the files lie or are put, as torchvision has them (``MNIST/raw/…``). None means the
            folder named by the environment variable ``ZOO_DATA``, or else ``zoo`` in the user's cache folder.
        batch_size: Images in a training step, over all devices together, so that a config trains the same network
            on one device and on several; a multiple of the number of devices.
        eval_batch_size: Images in a batch of validation, test and prediction; changes no result.
        val_size: Images for validation, 0 to 59,999. With 0 all 60,000 are trained on and nothing is validated.
        num_train: Train on this many images only, every class equally often; None means all.
        unlabelled_epochs: For so many epochs at the beginning the training batches are of all training images, whatever
            ``num_train`` says, and their labels are −1: for networks that pre-train without labels.
        seed: Chooses the order of the training images in each epoch; None means the seed given to
            ``seed_everything``, or 0.
        subset_seed: Chooses the ``num_train`` images.
        with_indices: Batches become ``(images, labels, indices)``, with each example's row in its archive.
        augment: How training images are distorted, anew in every epoch: ``none``, ``affine`` (turned, scaled, slanted
            and moved), ``elastic`` (bent) or ``affine_elastic``; see `zoo.data.distortion`.
        augment_strength: How much, 0 or more; 1 turns by at most 15°, scales by 15 %, and bends by 1.4 pixels.
        dataset: ``mnist``, or another of its form: ``fashion_mnist``, ``kmnist`` or ``qmnist``, downloaded when it is
            not there; see `zoo.data.datasets`.

    Raises:
        UsageError: A size is out of range.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        batch_size: int = 100,
        eval_batch_size: int = 1000,
        val_size: int = 5000,
        num_train: int | None = None,
        unlabelled_epochs: int = 0,
        seed: int | None = None,
        subset_seed: int = 0,
        with_indices: bool = False,
        augment: str = "none",
        augment_strength: float = 1.0,
        dataset: str = "mnist",
    ) -> None:
        super().__init__()
        for name, size in {"batch_size": batch_size, "eval_batch_size": eval_batch_size}.items():
            if not 1 <= size <= LARGEST_BATCH:
                raise UsageError(f"{name} is {size}, but a batch holds at least 1 image and at most {LARGEST_BATCH}.")
        if not 0 <= val_size < TRAINING_IMAGES:
            raise UsageError(
                f"val_size is {val_size}, but it must be 0 to {TRAINING_IMAGES - 1}: it is taken from the "
                f"{TRAINING_IMAGES} training images and must leave some to train on."
            )
        if num_train is not None and not 1 <= num_train <= TRAINING_IMAGES - val_size:
            raise UsageError(
                f"num_train is {num_train}, but it must be 1 to {TRAINING_IMAGES - val_size}, "
                f"the training images that val_size {val_size} leaves."
            )
        if not 0 <= unlabelled_epochs <= LARGEST_BATCH:
            raise UsageError(f"unlabelled_epochs is {unlabelled_epochs}, but it must be 0 to {LARGEST_BATCH}.")
        for name, value in {"seed": seed or 0, "subset_seed": subset_seed}.items():
            if not 0 <= value < 2**32:
                raise UsageError(f"{name} is {value}, but a seed is 0 or more and at most {2**32 - 1}.")
        check_augment(augment, augment_strength)
        if dataset != "mnist":
            from zoo.data.datasets import check_dataset

            check_dataset(dataset)
        if data_dir is not None and "\0" in data_dir:
            raise UsageError("data_dir holds a NUL character, which no folder's name can.")
        self.save_hyperparameters()
        self.data_dir = Path(data_dir).expanduser() if data_dir else default_data_dir()
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.val_size = val_size
        self.num_train = num_train
        self.unlabelled_epochs = unlabelled_epochs
        self.seed = seed if seed is not None else int(os.environ.get("PL_GLOBAL_SEED", 0))
        self.subset_seed = subset_seed
        self.with_indices = with_indices
        self.dataset = dataset
        self.augment = augment
        self.augment_strength = augment_strength
        self._splits: dict[str, ImageBatches] = {}

    def prepare_data(self) -> None:
        """Put the files where they are read from; called by Lightning in one process of each machine."""
        from zoo.data.datasets import prepare

        prepare(self.dataset, self.data_dir)

    def setup(self, stage: str | None = None) -> None:
        """Read what ``stage`` (fit, validate, test, predict or None for all) needs into memory."""
        if stage in ("fit", "validate", None) and "train" not in self._splits:
            archive = self._read(train=True)
            self._splits["validation"] = archive.select(torch.arange(self.val_size))
            training = torch.arange(self.val_size, len(archive))
            if self.unlabelled_epochs:
                self._splits["unlabelled"] = archive.select(training).without_labels()
            if self.num_train is not None:
                training = training[balanced_subset(archive.labels[training], self.num_train, self.subset_seed)]
            self._splits["train"] = archive.select(training)
        if self.unlabelled_epochs and self.trainer:
            # Asked once, the Trainer would keep the batches that it has.
            self.trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]
        if stage in ("test", "predict", None) and "test" not in self._splits:
            self._splits["test"] = self._read(train=False)

    def training_set(self) -> ImageBatches:
        """Return the images that are trained on, in the archive's order; after ``setup("fit")``."""
        return self._splits["train"]

    def digest(self) -> str:
        """Return a SHA-256 of the images, labels and rows that are trained on: processes compare it."""
        split = self._splits["train"]
        found = hashlib.sha256()
        for part in (split.images, split.labels, split.rows):
            found.update(part.cpu().numpy().tobytes())
        return found.hexdigest()

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of the training set, in an order that is a function of (seed, epoch)."""
        split = "unlabelled" if self.trainer and self.trainer.current_epoch < self.unlabelled_epochs else "train"
        return self._loader(split, self.batch_size_of_each(_processes()[1]), training=True)

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

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Batches of the validation set; an empty list, which Lightning skips, when ``val_size`` is 0."""
        if self.val_size:
            return self._loader("validation", self.eval_batch_size)
        # It is the intention: the user asked for no validation.
        warnings.filterwarnings("ignore", message="Total length of `list` across ranks is zero")
        return []

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the official test set, in the archive's order."""
        return self._loader("test", self.eval_batch_size)

    def predict_dataloader(self) -> DataLoader[Batch]:
        """Batches of the official test set with their indices, so that predictions can be put into order."""
        return self._loader("test", self.eval_batch_size, with_indices=True)

    def _read(self, *, train: bool) -> ImageBatches:
        from zoo.data.datasets import read

        images, labels = read(self.dataset, self.data_dir, train=train)
        return ImageBatches(images, labels, torch.arange(len(labels)), with_indices=self.with_indices)

    def _loader(
        self, split: str, batch_size: int, *, training: bool = False, with_indices: bool = False
    ) -> DataLoader[Batch]:
        rank, processes = _processes()
        if self.trainer:
            # On an accelerator the images live there, and no batch is ever copied.
            self._splits[split] = self._splits[split].to(self.trainer.strategy.root_device)
        dataset = self._splits[split]
        if len(dataset) < processes:
            raise UsageError(f"{len(dataset)} {split} images cannot be shared by {processes} processes.")
        if with_indices:
            dataset = ImageBatches(dataset.images, dataset.labels, dataset.rows, with_indices=True)
        if training and self.augment != "none":
            dataset = DistortedBatches(dataset, self.augment, self.augment_strength, self.seed)
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

    Torch knows it in every process; a DataModule that Lightning has handed to a spawned one has lost its Trainer.
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
