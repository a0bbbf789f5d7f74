"""One's own pictures: a folder for each class."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from zoo.data.base import PREPROCESS, ImageDataModule
from zoo.data.batches import ImageBatches
from zoo.utils.checks import check_data_dir, check_fractions, check_seeds, listed
from zoo.utils.console import is_watched, print_rank_zero
from zoo.utils.errors import UsageError

Labelled = tuple[Path, int]

MANY = 100
"""Pictures; reading more shows a bar."""


class ImageFolderDataModule(ImageDataModule):
    """Pictures of any number of classes as batches of MNIST's form, ``(images, labels)``.

    The pictures of a class lie in ``data_dir/CLASS/`` and are shared among the three sets; or they lie in
    ``data_dir/train/CLASS/`` and ``data_dir/test/CLASS/``, and, where that exists, ``data_dir/val/CLASS/``. The labels
    0, 1, … are the classes in the order of their names, or of their numbers where all names are numbers. A picture that
    cannot be read is named and passed over.

    Args:
        data_dir: The folder.
        batch_size: Images in a training step, over all devices together; a multiple of the number of devices.
        eval_batch_size: Images in a batch of validation, test and prediction; changes no result.
        val_share: The share of each class's training pictures that are for validation, 0 ≤ s < 1; at least one of
            three where it is not 0. Not used where there is a folder ``val``.
        test_share: The same for the test. Not used where there is a folder ``test``.
        split_seed: Chooses which pictures those are. Which set a picture is in hardly changes when others are added.
        preprocess: Whether each picture is made what MNIST's are, as `zoo.preprocess` does: right for one thing that is
            drawn or written. Without, it is made grey and 28×28 pixels, and is as bright as it is.
        seed: Chooses the order of the training images in each epoch; None means the seed given to
            ``seed_everything``, or 0.
        with_indices: Batches become ``(images, labels, indices)``, with each picture's place in `files`.
        augment: How training images are distorted, a name in `zoo.data.augmentation`.
        augment_strength: How much, 0 or more.

    Raises:
        UsageError: A share or size is out of range, or a name unknown.
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
        check_data_dir(data_dir)
        self.save_hyperparameters()
        self.data_dir = Path(data_dir).expanduser()
        self.val_share = val_share
        self.test_share = test_share
        self.split_seed = split_seed
        self.preprocess = preprocess
        self.files: list[Path] = []
        """The pictures that were read; an image's row is its place here."""
        self._class_names: list[str] = []
        self._digest = ""

    @property
    def class_names(self) -> Sequence[str]:
        """The names of the folders, in the order of the labels."""
        if not self._class_names:
            train = self.data_dir / "train"
            self._class_names = class_folders(train if train.is_dir() else self.data_dir)
        return self._class_names

    def prepare_data(self) -> None:
        """Look whether there are pictures, in one process of each machine, before any is read."""
        self._shared()

    def setup(self, stage: str | None = None) -> None:
        """Read all pictures.

        Raises:
            UsageError: There are none, or none of some class that can be read.
        """
        if self.splits:
            return
        from zoo.data.preprocessing import preprocess, resize

        parts = self._shared()
        total = sum(map(len, parts.values()))
        read_one = preprocess if self.preprocess else resize
        complaints: list[str] = []
        with tqdm(total=total, desc="Reading", leave=False, disable=total < MANY or not is_watched()) as bar:
            read = {name: list(_read(pictures, read_one, complaints, bar.update)) for name, pictures in parts.items()}
        for complaint in complaints:
            print_rank_zero(f"zoo: {complaint}")
        if complaints:
            print_rank_zero(f"zoo: {len(complaints):,} of {total:,} files were passed over.")
        readable = {label for _, label, _ in read["train"]}
        if missing := [name for label, name in enumerate(self.class_names) if label not in readable]:
            raise UsageError(f"No picture of the class {missing[0]} can be trained on: see {self.data_dir}.")
        for name, examples in read.items():
            self.splits[name] = self._batches(examples)
        self._digest = self.digest()

    def state_dict(self) -> dict[str, Any]:
        """Return what the classes are called and which pictures are trained on, for checkpoints."""
        return {**super().state_dict(), "digest": self._digest, PREPROCESS: self.preprocess}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Compare with what a checkpoint was trained on.

        Raises:
            UsageError: The classes are others, or, where a training goes on, the pictures.
        """
        super().load_state_dict(state_dict)
        if self.trainer and self.trainer.training and state_dict.get("digest") != self._digest:
            raise UsageError(
                f"The pictures in {self.data_dir} are not those that this training began with: begin a new one, from "
                "its weights if you like, with --model.init_from FILE.ckpt."
            )

    def _shared(self) -> dict[str, list[Labelled]]:
        """Return the pictures of each set by what lies in the folder."""
        names = self.class_names
        own = {name: self.data_dir / folder for name, folder in (("validation", "val"), ("test", "test"))}
        divided = (self.data_dir / "train").is_dir()
        training = _pictures(self.data_dir / "train" if divided else self.data_dir, names)
        parts: dict[str, list[Labelled]] = {}
        for name, share in (("test", self.test_share), ("validation", self.val_share)):
            if divided and own[name].is_dir():
                _check_same_classes(own[name], names)
                parts[name] = _pictures(own[name], names)
            else:
                parts[name] = self._taken(training, share)
                taken = set(parts[name])
                training = [picture for picture in training if picture not in taken]
        return {**parts, "train": training}

    def _taken(self, pictures: list[Labelled], share: float) -> list[Labelled]:
        """Return this share of the pictures of each class."""
        taken: list[Labelled] = []
        for label in range(len(self.class_names)):
            own = [picture for picture in pictures if picture[1] == label]
            count = round(share * len(own))
            if share and len(own) >= 3:
                count = max(1, count)
            taken += sorted(own, key=self._draw)[:count]
        return sorted(taken)

    def _draw(self, picture: Labelled) -> bytes:
        path, label = picture
        return hashlib.sha256(f"{self.split_seed}/{self.class_names[label]}/{path.name}".encode()).digest()

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
    """Return the names of a folder's folders: by number where all are numbers, else by name.

    Raises:
        UsageError: There is no such folder, or fewer than two in it.
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
    if strangers := sorted(set(class_folders(folder)) - set(names)):
        raise UsageError(
            f"{folder} has pictures of {listed(strangers)}, which nothing is trained on: the classes are "
            f"{listed(names)}."
        )


def _pictures(folder: Path, names: Sequence[str]) -> list[Labelled]:
    """Return the files in the folders of the classes, with their labels.

    Raises:
        UsageError: The folder of a class is empty.
    """
    found: list[Labelled] = []
    for label, name in enumerate(names):
        inside = folder / name
        files = sorted(inside.iterdir()) if inside.is_dir() else []
        files = [path for path in files if path.is_file() and not path.name.startswith(".")]
        if not files and folder.name not in ("val", "test"):
            raise UsageError(f"{inside} holds no pictures: put some there, or remove it.")
        found += [(path, label) for path in files]
    return found


def _read(
    pictures: list[Labelled],
    read_one: Callable[[Path], Tensor],
    complaints: list[str],
    done: Callable[[], object],
) -> Iterator[tuple[Path, int, Tensor]]:
    for path, label in pictures:
        done()
        try:
            yield path, label, (read_one(path)[0] * 255).round().to(torch.uint8)
        except UsageError as error:
            complaints.append(str(error) if str(path) in str(error) else f"{path}: {error}")
