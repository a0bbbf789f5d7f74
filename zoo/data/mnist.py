"""The DataModule that every member shares."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from zoo.data.archives import default_data_dir
from zoo.data.base import ImageDataModule
from zoo.data.batches import Batch, ImageBatches, balanced_subset
from zoo.utils.checks import check_counts, check_data_dir, check_seeds
from zoo.utils.errors import UsageError

TRAINING_IMAGES = 60_000
"""Images in the official training archives; the test archives hold 10,000 more."""


class MNISTDataModule(ImageDataModule):
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
            and moved), ``elastic`` (bent) or ``affine_elastic``; see `zoo.data.augmentation`.
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
        super().__init__(batch_size, eval_batch_size, seed, with_indices, augment, augment_strength)
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
        check_counts(unlabelled_epochs=unlabelled_epochs)
        check_seeds(subset_seed=subset_seed)
        check_data_dir(data_dir)
        if dataset != "mnist":
            from zoo.data.datasets import check_dataset

            check_dataset(dataset)
        self.save_hyperparameters()
        self.data_dir = Path(data_dir).expanduser() if data_dir else default_data_dir()
        self.val_size = val_size
        self.num_train = num_train
        self.unlabelled_epochs = unlabelled_epochs
        self.subset_seed = subset_seed
        self.dataset = dataset

    @property
    def class_names(self) -> Sequence[str]:
        """The digits, or what the data set's ten classes are called."""
        from zoo.data.datasets import class_names

        return class_names(self.dataset)

    def prepare_data(self) -> None:
        """Put the files where they are read from; called by Lightning in one process of each machine."""
        from zoo.data.datasets import prepare

        prepare(self.dataset, self.data_dir)

    def setup(self, stage: str | None = None) -> None:
        """Read what ``stage`` (fit, validate, test, predict or None for all) needs into memory."""
        if stage in ("fit", "validate", None) and "train" not in self.splits:
            archive = self._read(train=True)
            self.splits["validation"] = archive.select(torch.arange(self.val_size))
            training = torch.arange(self.val_size, len(archive))
            if self.unlabelled_epochs:
                self.splits["unlabelled"] = archive.select(training).without_labels()
            if self.num_train is not None:
                training = training[balanced_subset(archive.labels[training], self.num_train, self.subset_seed)]
            self.splits["train"] = archive.select(training)
        if self.unlabelled_epochs and self.trainer:
            # Asked once, the Trainer would keep the batches that it has.
            self.trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]
        if stage in ("test", "predict", None) and "test" not in self.splits:
            self.splits["test"] = self._read(train=False)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Batches of the official test set, in the archive's order."""
        return self.loader("test", self.eval_batch_size)

    def training_split(self) -> str:
        """Return ``unlabelled`` for the epochs that withhold the labels, and ``train`` after."""
        return "unlabelled" if self.trainer and self.trainer.current_epoch < self.unlabelled_epochs else "train"

    def _read(self, *, train: bool) -> ImageBatches:
        from zoo.data.datasets import read

        images, labels = read(self.dataset, self.data_dir, train=train)
        return ImageBatches(images, labels, torch.arange(len(labels)), with_indices=self.with_indices)


def load_test_data() -> MNISTDataModule:
    """Return the shared data with the official test images and the validation images in memory."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup()
    return data
