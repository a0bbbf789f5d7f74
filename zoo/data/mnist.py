"""The MNIST data module, which the members share."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from zoo.data.base import DIGEST, ImageDataModule
from zoo.data.batches import Batch, ImageBatches, balanced_subset
from zoo.data.own_files import OwnFiles
from zoo.utils.checks import check_counts, check_seeds
from zoo.utils.errors import UsageError
from zoo.utils.files import check_local

TRAINING_IMAGES = 60_000
"""Images in the official training archives; the test archives hold 10,000 more."""


class MNISTDataModule(ImageDataModule):
    """MNIST as batches ``(images, labels)``: float32 ``(B, 1, 28, 28)`` in [0, 1] and int64 ``(B,)`` in 0..9.

    The first ``val_size`` of the 60,000 training images are the validation set, the others the training set. The 10,000
    test images are used for testing only. MNIST ships with the package and is read from there, so it needs no folder.
    LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to document recognition", Proc. IEEE 1998.

    Args:
        data_dir: A file or folder of your own digits, or the folder of the other data sets' files. Your own are read in
            MNIST's place: see `zoo.data.user_data`. The others lie as torchvision has them (``KMNIST/raw/…``): missing
            files are downloaded, and none is ever changed. For MNIST nothing is written and the folder need not exist.
            None means the folder in the environment variable ``ZOO_DATA``, or else ``zoo`` in the user's cache folder.
        batch_size: Images per training step, summed over all devices, so that a config trains the same network on one
            device and on several. Must be a multiple of the number of devices.
        eval_batch_size: Images per batch in validation, test and prediction. Does not change the results.
        val_size: Number of validation images, 0 to 59,999. With 0, all 60,000 images are trained on and there is no
            validation.
        num_train: Number of training images, balanced over the classes. None means all.
        unlabelled_epochs: Number of epochs at the start whose training batches contain all training images, regardless
            of ``num_train``, with labels −1. For networks with unsupervised pretraining.
        seed: Seed of the order and the augmentation of the training images. None means the seed given to
            ``seed_everything``, or 0.
        subset_seed: Seed of the choice of the ``num_train`` images.
        with_indices: Whether batches are ``(images, labels, indices)``. An index is the example's row in its archive.
        augment: Augmentation of the training images, different in every epoch: ``none``, ``affine`` (rotation, scaling,
            shear and translation), ``elastic`` (elastic deformation) or ``affine_elastic``. See
            `zoo.data.augmentation`.
        augment_strength: Strength of the augmentation, 0 or more. With 1, images are rotated by at most 15° and scaled
            by at most 15 %, and elastic displacements have a standard deviation of 1.4 pixels.
        dataset: ``mnist``, or a data set in its format: ``fashion_mnist``, ``kmnist`` or ``qmnist``, which are
            downloaded if missing. See `zoo.data.datasets`. ``own`` reads the user's own digits only.
        transpose: Whether to swap the rows and columns of each image, as EMNIST's need it.

    Raises:
        UsageError: A size is out of range, or a name is unknown.
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
        transpose: bool = False,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, with_indices, augment, augment_strength)
        own_files = OwnFiles(data_dir, dataset)
        most = own_files.most_images or TRAINING_IMAGES
        if not 0 <= val_size < most:
            raise UsageError(
                f"val_size is {val_size}, but it must be 0 to {most - 1}: it is taken from the {most} training images "
                "and must leave some to train on."
            )
        if num_train is not None and not 1 <= num_train <= most - val_size:
            raise UsageError(
                f"num_train is {num_train}, but it must be 1 to {most - val_size}, the training images that val_size "
                f"{val_size} leaves."
            )
        check_counts(unlabelled_epochs=unlabelled_epochs)
        check_seeds(subset_seed=subset_seed)
        check_local(data_dir or "", "data_dir")
        if dataset != "mnist":
            from zoo.data.datasets import check_dataset

            check_dataset(dataset)
        self.save_hyperparameters()
        self.data_dir = own_files.path
        self.val_size = val_size
        self.num_train = num_train
        self.unlabelled_epochs = unlabelled_epochs
        self.subset_seed = subset_seed
        self.dataset = dataset
        self.transpose = transpose
        self._own_files = own_files
        self._digest = ""
        self._archives: dict[bool, tuple[Tensor, Tensor]] = {}

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the data set's ten classes: the digits, except in Fashion-MNIST and KMNIST."""
        from zoo.data.datasets import class_names

        return class_names(self.dataset)

    @property
    def files(self) -> Sequence[Path]:
        """The file of each test image, where the user's own images have one each."""
        return self._own_files.files

    def prepare_data(self) -> None:
        """Check the files and download those that are missing. Lightning calls this in one process per machine.

        Raises:
            UsageError: As for `zoo.data.datasets.prepare` and `zoo.data.datasets.read`, or there are too few images, or
                the user's own files cannot be read.
        """
        from zoo.data.datasets import prepare, read

        if self._own_files.find() is not None:
            verb = (self.trainer.state.fn if self.trainer else None) or self.command
            images = self._own_files.prepare(verb, self.splits, is_training=self._is_training)
            if images is not None:
                self._check_sizes(images)
            return
        prepare(self.dataset, self.data_dir)
        if self.dataset != "mnist":
            # Read before other processes and the folder of the run begin, and kept: decompression takes a while.
            self._archives = {train: read(self.dataset, self.data_dir, train=train) for train in (True, False)}
            images, test_images = (len(self._archives[train][1]) for train in (True, False))
            if images < test_images:
                raise UsageError(
                    f"{self.dataset} in {self.data_dir} has {images:,} training images and {test_images:,} test "
                    "images: the files seem to be swapped, so rename them, or name another data_dir."
                )
            self._check_sizes(images)

    def setup(self, stage: str | None = None) -> None:
        """Load the splits that ``stage`` (fit, validate, test, predict, or None for all) needs into memory."""
        if stage in ("fit", "validate", None) and "train" not in self.splits:
            archive = self._read(train=True, needed=stage is not None)
            if archive is not None:
                self._split_training(archive)
        if self.unlabelled_epochs and self.trainer:
            # Otherwise the Trainer would keep the loader of the first epoch.
            self.trainer.reload_dataloaders_every_n_epochs = 1  # type: ignore[attr-defined]
        if stage in ("test", "predict", None) and "test" not in self.splits:
            test = self._read(train=False, needed=stage == "predict")
            self.splits["test"] = ImageBatches.empty() if test is None else test

    def state_dict(self) -> dict[str, Any]:
        """Return the class names and, of the user's own data, a digest of the training images, for checkpoints."""
        return {**super().state_dict(), **({DIGEST: self._digest} if self._digest else {})}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that the data is that of the checkpoint.

        Raises:
            UsageError: The class names differ, or training is resumed with different images.
        """
        super().load_state_dict(state_dict)
        if self.trainer and self.trainer.training and state_dict.get(DIGEST, "") != self._digest:
            raise UsageError(
                f"The training images in {self.data_dir} are not those that this training began with: name those, or "
                "begin a new one, from its weights if you like, with --model.init_from FILE.ckpt."
            )

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return the test batches in the original order, or an empty list, which Lightning skips, without labels."""
        loader: Any = super().test_dataloader()
        return loader  # type: ignore[no-any-return]

    def training_split(self) -> str:
        """Return ``unlabelled`` during the first ``unlabelled_epochs`` epochs, then ``train``."""
        return "unlabelled" if self.trainer and self.trainer.current_epoch < self.unlabelled_epochs else "train"

    @property
    def _is_training(self) -> bool:
        """Whether a training goes on or went before."""
        return self.command == "fit" or "train" in self.splits

    def _split_training(self, archive: ImageBatches) -> None:
        self._check_sizes(len(archive))
        self.splits["validation"] = archive.select(slice(self.val_size))
        training = archive.select(slice(self.val_size, None))
        if self.unlabelled_epochs:
            self.splits["unlabelled"] = training.without_labels()
        if self.num_train is not None:
            training = training.select(balanced_subset(training.labels, self.num_train, self.subset_seed))
        self.splits["train"] = training
        if self._own_files.find() is not None:
            self._digest = self.digest()

    def _check_sizes(self, images: int) -> None:
        """Raise `UsageError` if a data set of this many training images cannot be split as the arguments say."""
        if self.val_size + (self.num_train or 1) > images:
            name = self.data_dir if self._own_files.find() else f"{self.dataset} in {self.data_dir}"
            wanted = (
                f"for training {self.num_train:,} (data.num_train)" if self.num_train else "at least one for training"
            )
            raise UsageError(
                f"{name} has {images:,} training images, but {self.val_size:,} are wanted for validation "
                f"(data.val_size) and {wanted}: choose less."
            )

    def _read(self, *, train: bool, needed: bool) -> ImageBatches | None:
        from zoo.data.datasets import read

        if self._own_files.find() is not None:
            loaded = self._own_files.load(train=train, needed=needed, is_training=self._is_training)
            if loaded is None:
                return None
            images, labels, rows = loaded
        else:
            kept = self._archives.pop(train) if train in self._archives else None
            images, labels = kept or read(self.dataset, self.data_dir, train=train)
            rows = torch.arange(len(labels))
        if self.transpose:
            images = images.transpose(1, 2).contiguous()
        return ImageBatches(images, labels, rows, with_indices=self.with_indices)


def load_test_data() -> MNISTDataModule:
    """Return an `MNISTDataModule` whose splits, among them the test and validation images, are in memory."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup()
    return data
