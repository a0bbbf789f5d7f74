"""Image classification data sets from a user's folders, one folder per class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from zoo.data.base import DIGEST, DIGITS, PREPROCESS, ImageDataModule
from zoo.data.batches import ImageBatches
from zoo.utils.checks import check_fractions, check_seeds, join_names
from zoo.utils.console import is_interactive, print_rank_zero
from zoo.utils.errors import UsageError
from zoo.utils.files import check_local, expand_user

LabelledFile = tuple[Path, int]

PART_FOLDERS = {
    "train": ("train", "training"),
    "validation": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
"""Names of the folders of each set."""
PROGRESS_BAR_MIN_IMAGES = 100
"""Minimum number of images for which a progress bar is shown."""


class ImageFolderDataModule(ImageDataModule):
    """Images in one folder per class, as batches ``(images, labels)`` in MNIST's format.

    The images of a class lie in ``data_dir/CLASS/`` and are split into the training, validation and test sets. Or the
    training images lie in ``data_dir/train/CLASS/``, and those of the other sets in ``data_dir/val/CLASS/`` and
    ``data_dir/test/CLASS/`` (`PART_FOLDERS` lists other names). A set without a folder is then split off from the
    training images.

    The labels 0, 1, … are the classes in alphabetical order, or in numerical order if all names are numbers. Files that
    cannot be read are reported and skipped.

    Args:
        data_dir: The folder.
        batch_size: Images per training step, summed over all devices. Must be a multiple of the number of devices.
        eval_batch_size: Images per batch in validation, test and prediction. Does not change the results.
        val_share: Fraction of each class's training images that is used for validation, 0 ≤ s < 1. Unless it is 0, at
            least one image of each class that has three or more. Ignored if there is a folder ``val``.
        test_share: The same for the test set. Ignored if there is a folder ``test``.
        split_seed: Seed of the split. When images are added, nearly all others stay in their sets.
        preprocess: Whether to convert each image to MNIST's format with `zoo.preprocess`, which suits images of one
            drawn or written symbol. Boxes and circles are kept, unless the classes are the ten digits. If False, images
            are converted to grey and resized to 28×28 pixels, and their brightness is kept.
        seed: Seed of the order and the augmentation of the training images. None means the seed given to
            ``seed_everything``, or 0.
        with_indices: Whether batches are ``(images, labels, indices)``. An index is the image's position in `files`.
        augment: Augmentation of the training images, a name in `zoo.data.augmentation`.
        augment_strength: Strength of the augmentation, 0 or more.

    Raises:
        UsageError: A fraction or size is out of range, or a name is unknown.
    """

    def __init__(
        self,
        data_dir: str,
        batch_size: int = 100,
        eval_batch_size: int = 1000,
        val_share: float = 0.1,
        test_share: float = 0.1,
        split_seed: int = 0,
        preprocess: bool = True,
        seed: int | None = None,
        with_indices: bool = False,
        augment: str = "none",
        augment_strength: float = 1.0,
    ) -> None:
        super().__init__(batch_size, eval_batch_size, seed, with_indices, augment, augment_strength)
        check_fractions(val_share=val_share, test_share=test_share)
        if val_share + test_share >= 1:
            raise UsageError(f"val_share {val_share} and test_share {test_share} leave nothing to train on.")
        check_seeds(split_seed=split_seed)
        check_local(data_dir, "data_dir")
        self.save_hyperparameters()
        self.data_dir = expand_user(data_dir)
        self.val_share = val_share
        self.test_share = test_share
        self.split_seed = split_seed
        self.preprocess = preprocess
        self.files: list[Path] = []
        """The files that were read. An image's row is its position in this list."""
        self._class_names: list[str] = []
        self._digest = ""

    @property
    def class_names(self) -> Sequence[str]:
        """Names of the class folders, in the order of the labels."""
        if not self._class_names:
            self._class_names = class_folders(self._folder("train") or self.data_dir)
        return self._class_names

    def prepare_data(self) -> None:
        """Check that there are images. Lightning calls this in one process per machine, before any image is read."""
        self._split_files()

    def setup(self, stage: str | None = None) -> None:
        """Read all images.

        Raises:
            UsageError: There are no images, or a class has no training image that can be read.
        """
        if self.splits:
            return
        from zoo.data.preprocessing import preprocess, resize

        parts = self._split_files()
        total = sum(map(len, parts.values()))
        symbol = partial(preprocess, remove_frames=tuple(self.class_names) == DIGITS)
        read_one = symbol if self.preprocess else resize
        problems: list[str] = []
        with tqdm(
            total=total, desc="Reading", leave=False, disable=total < PROGRESS_BAR_MIN_IMAGES or not is_interactive()
        ) as bar:
            read = {
                name: list(read_files(pictures, read_one, problems, bar.update)) for name, pictures in parts.items()
            }
        for problem in problems:
            print_rank_zero(f"zoo: {problem}")
        if problems:
            print_rank_zero(f"zoo: {len(problems):,} of {total:,} files were passed over.")
        readable = {label for _, label, _ in read["train"]}
        if missing := [name for label, name in enumerate(self.class_names) if label not in readable]:
            raise UsageError(f"No picture of the class {missing[0]} can be trained on: see {self.data_dir}.")
        for name, examples in read.items():
            self.splits[name] = self._batches(examples)
        self._digest = self.digest()

    def state_dict(self) -> dict[str, Any]:
        """Return the class names, a digest of the training images and ``preprocess``, for checkpoints."""
        return {**super().state_dict(), DIGEST: self._digest, PREPROCESS: self.preprocess}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Check that the data is that of the checkpoint.

        Raises:
            UsageError: The class names differ, or training is resumed with different images.
        """
        super().load_state_dict(state_dict)
        if self.trainer and self.trainer.training and state_dict.get(DIGEST) != self._digest:
            raise UsageError(
                f"The pictures in {self.data_dir} are not those that this training began with: begin a new one, from "
                "its weights if you like, with --model.init_from FILE.ckpt."
            )

    def _split_files(self) -> dict[str, list[LabelledFile]]:
        """Return the files of each set, found in its folder or split off from the training images."""
        names = self.class_names
        train_folder = self._folder("train")
        training = _list_files(train_folder or self.data_dir, names)
        parts: dict[str, list[LabelledFile]] = {}
        for name, share in (("test", self.test_share), ("validation", self.val_share)):
            folder = self._folder(name) if train_folder else None
            if folder is not None:
                _check_same_classes(folder, names)
                parts[name] = _list_files(folder, names)
            else:
                parts[name] = self._choose_share(training, share)
                chosen = set(parts[name])
                training = [picture for picture in training if picture not in chosen]
        return {**parts, "train": training}

    def _folder(self, part: str) -> Path | None:
        """Return the folder of a set, or None if there is none.

        Raises:
            UsageError: There is more than one.
        """
        found = [folder for name in PART_FOLDERS[part] if (folder := self.data_dir / name).is_dir()]
        if len(found) > 1:
            raise UsageError(
                f"{found[0]} and {found[1]} are folders of the same set: put the pictures into one of them."
            )
        return found[0] if found else None

    def _choose_share(self, pictures: list[LabelledFile], share: float) -> list[LabelledFile]:
        """Choose this share of the images of each class."""
        chosen: list[LabelledFile] = []
        for label in range(len(self.class_names)):
            of_class = [picture for picture in pictures if picture[1] == label]
            count = round(share * len(of_class))
            if share and len(of_class) >= 3:
                count = max(1, count)
            chosen += sorted(of_class, key=self._split_hash)[:count]
        return sorted(chosen)

    def _split_hash(self, picture: LabelledFile) -> bytes:
        path, label = picture
        text = f"{self.split_seed}/{self.class_names[label]}/{path.name}"
        return hashlib.sha256(text.encode(errors="surrogateescape")).digest()  # a name need not be UTF-8

    def _batches(self, examples: list[tuple[Path, int, Tensor]]) -> ImageBatches:
        first = len(self.files)
        self.files += [path for path, _, _ in examples]
        images = [image for _, _, image in examples]
        return ImageBatches(
            torch.stack(images) if images else torch.zeros(0, 28, 28, dtype=torch.uint8),
            torch.tensor([label for _, label, _ in examples], dtype=torch.int64),
            torch.arange(first, len(self.files)),
            with_indices=self.with_indices,
        )


def class_folders(folder: Path) -> list[str]:
    """Return the names of the class folders, in numerical order if all are numbers, else in alphabetical order.

    Raises:
        UsageError: There is no such folder, or it has fewer than two folders.
    """
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: data.data_dir names one with a folder of pictures per class.")
    found = [path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith(".")]
    if len(found) < 2:
        raise UsageError(
            f"{folder} holds {len(found)} folders, but there is one for each class, so at least two: "
            f"{folder}/CLASS/PICTURE.png."
        )
    return sorted(found, key=int) if all(name.isdecimal() for name in found) else sorted(found)


def _check_same_classes(folder: Path, names: Sequence[str]) -> None:
    if unknown := sorted(set(class_folders(folder)) - set(names)):
        raise UsageError(
            f"{folder} has pictures of {join_names(unknown)}, which nothing is trained on: the classes are "
            f"{join_names(names)}."
        )


def _list_files(folder: Path, names: Sequence[str]) -> list[LabelledFile]:
    """Return the files in the class folders, with their labels.

    Raises:
        UsageError: A class folder is empty.
    """
    found: list[LabelledFile] = []
    for label, name in enumerate(names):
        class_folder = folder / name
        files = sorted(class_folder.iterdir()) if class_folder.is_dir() else []
        files = [path for path in files if path.is_file() and not path.name.startswith(".")]
        if not files and folder.name not in (*PART_FOLDERS["validation"], *PART_FOLDERS["test"]):
            raise UsageError(f"{class_folder} holds no pictures: put some there, or remove it.")
        found += [(path, label) for path in files]
    return found


def read_files(
    pictures: list[LabelledFile],
    read_one: Callable[[Path], Tensor],
    problems: list[str],
    advance: Callable[[], object],
) -> Iterator[tuple[Path, int, Tensor]]:
    """Yield path, label and image, uint8 ``(28, 28)``, of each file that can be read.

    Args:
        pictures: The files.
        read_one: Reads a file as float32 ``(1, 28, 28)`` in [0, 1].
        problems: List to which a sentence is appended for each file that cannot be read.
        advance: Is called before each file.
    """
    for path, label in pictures:
        advance()
        try:
            yield path, label, (read_one(path)[0] * 255).round().to(torch.uint8)
        except UsageError as error:
            problems.append(str(error) if str(path) in str(error) else f"{path}: {error}")
