"""A user's own files in the place of MNIST: found, read once, and described when they are used."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zoo.data.archives import default_data_dir
from zoo.data.examples import MAX_IMAGES, Examples
from zoo.utils.console import print_output_rank_zero, print_rank_zero
from zoo.utils.errors import UsageError
from zoo.utils.files import expand_user

if TYPE_CHECKING:
    from zoo.data.user_data import UserData

OWN = "own"
"""The name of the data set under which nothing but the user's own files are read."""
PARTS_OF_VERB = {
    "fit": (True, False),
    "validate": (True,),
    "test": (False,),
    "predict": (False,),
}
"""Whether a verb of the Trainer needs training images, test images or both."""
MAX_PROBLEMS = 5
"""Files that were passed over of which the reason is printed."""


class OwnFiles:
    """The files that ``data_dir`` names, if they are data of the user's own.

    Args:
        data_dir: The file or folder, or None.
        dataset: The name of the data set. With ``mnist``, a folder with MNIST's official files is no data of the
            user's own. With ``own``, it is.

    Raises:
        UsageError: ``dataset`` is ``own``, and there is no ``data_dir``.
    """

    def __init__(self, data_dir: str | None, dataset: str) -> None:
        if dataset == OWN and not data_dir:
            raise UsageError("dataset own is data of your own: name its file or folder as data_dir.")
        self._named = bool(data_dir) and dataset in ("mnist", OWN)
        self._is_own = dataset == OWN
        self.path: Path = expand_user(data_dir) if data_dir else default_data_dir()
        self.files: Sequence[Path] = ()
        """The file of each test image, where each has one."""
        self._found: UserData | None = None
        self._was_sought = False
        self._read: dict[str, Examples] = {}

    @property
    def most_images(self) -> int | None:
        """The most training images that there can be, or None if only data sets of known sizes are read."""
        return MAX_IMAGES if self._named else None

    def find(self) -> UserData | None:
        """Return the user's data, or None if there is none, so that a named data set is meant.

        Raises:
            UsageError: There are files that are no such data.
        """
        if self._named and not self._was_sought:
            from zoo.data.user_data import find_data_beside_mnist, find_user_data

            self._found = find_user_data(self.path) if self._is_own else find_data_beside_mnist(self.path)
            if self._found is None and self._is_own:
                raise UsageError(f"There is no data in {self.path}: name its file or folder as data_dir.")
            if self._found is None:
                print_output_rank_zero(f"{self.path} holds no data of your own, so the data is MNIST.")
            self._was_sought = True
        return self._found

    def prepare(self, verb: str | None, loaded: Container[str], *, is_training: bool) -> int | None:
        """Read what a verb needs and is not loaded yet.

        Args:
            verb: The verb. None reads everything and checks less, as what is needed is unknown.
            loaded: The splits that are loaded: ``train``, ``test``.
            is_training: Whether a training goes on or went before, which needs no test images.

        Returns:
            The number of training images that were read, or None.

        Raises:
            UsageError: A file cannot be read, or something that the verb needs is missing.
        """
        data = self.find()
        assert data is not None
        training = None
        for train in PARTS_OF_VERB[verb] if verb else (True, False):
            part = data.part(train=train)
            if ("train" if train else "test") in loaded or (part == "only" and not train and is_training):
                continue
            if part is None:
                is_needed = train if verb in ("fit", "validate") else verb is not None and not is_training
                if is_needed:
                    self._refuse_missing(train)
                continue
            if part == "only" and verb == "test":
                print_output_rank_zero(
                    f"{self.path} has no test part, so all its images are tested: where the network was trained on "
                    "them, the accuracy says little."
                )
            if part not in self._read:
                self._read[part] = data.readers[part]()
            if verb is not None or part != "only":
                self._check_labels(self._read[part], train, None if is_training else verb)
                training = len(self._read[part].images) if train else training
        tests = len(self._read["test"].images) if "test" in self._read else 0
        if training is not None and training < tests:
            # No error, as for a named data set: few labels and many test images are a usual experiment.
            print_output_rank_zero(
                f"{self.path} has {training:,} training images and {tests:,} test images: if the files are swapped, "
                "rename them."
            )
        return training

    def load(self, *, train: bool, needed: bool, is_training: bool) -> tuple[Tensor, Tensor, Tensor] | None:
        """Return the training or the test images, and print what they are.

        Args:
            train: Whether to return the training images.
            needed: Whether it is an error if there are none.
            is_training: As for `prepare`.

        Returns:
            Images, uint8 ``(N, 28, 28)``; labels, int64 ``(N,)``, −1 where there are none; and the rows of the images
            in their file, int64 ``(N,)``. None if there are no such images.

        Raises:
            UsageError: There are none and they are needed, or they cannot be read.
        """
        data = self.find()
        assert data is not None
        part = data.part(train=train)
        if part is None or (part == "only" and not train and is_training):
            if needed and (train or not is_training):
                self._refuse_missing(train)
            return None
        examples = self._read.pop(part, None) or data.readers[part]()
        self._check_labels(examples, train, None)
        self._describe(examples, train, data.passed_over)
        if not train:
            self.files = examples.files
        labels, rows = examples.labels, torch.arange(len(examples.images))
        if labels is None:
            labels = torch.full_like(rows, -1)
        elif train and bool((labels.diff() >= 0).all()):
            # Class by class: the first images, which are for validation, would be those of one class.
            rows = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
            return examples.images[rows], labels[rows], rows
        return examples.images, labels, rows

    def _refuse_missing(self, train: bool) -> None:
        kind, names = ("training", "train or training") if train else ("test", "test or t10k")
        raise UsageError(f"{self.path} holds no {kind} images: name a file of them, or give one a name with {names}.")

    def _check_labels(self, examples: Examples, train: bool, verb: str | None) -> None:
        if examples.labels is not None:
            return
        if train:
            raise UsageError(f"The training images in {self.path} have no labels, without which nothing is trained.")
        if verb == "test":
            raise UsageError(
                f"The test images in {self.path} have no labels to compare with: `zoo predict` says what they show."
            )

    def _describe(self, examples: Examples, train: bool, passed_over: Sequence[str]) -> None:
        for problem in examples.problems[:MAX_PROBLEMS]:
            print_rank_zero(f"zoo: {problem}")
        if examples.problems:
            total = len(examples.images) + len(examples.problems)
            print_rank_zero(f"zoo: {len(examples.problems):,} of {total:,} files were passed over.")
        kind, (low, high) = "training" if train else "test", examples.levels
        parts = [f"{self.path}: {len(examples.images):,} {kind} images of 28 × 28 pixels, {low:g} to {high:g}"]
        if examples.labels is None:
            parts.append("without labels")
        else:
            counts = examples.labels.bincount(minlength=10).tolist()
            parts.append(f"of the digits 0 to 9 {' '.join(f'{count:,}' for count in counts)}")
        if float(examples.images[:, 0].float().mean()) > 127:
            parts.append("dark on light, while MNIST is light on dark")
        if passed_over:
            more = f" and {len(passed_over) - MAX_PROBLEMS} more" if len(passed_over) > MAX_PROBLEMS else ""
            parts.append(f"not read: {', '.join(passed_over[:MAX_PROBLEMS])}{more}")
        print_output_rank_zero("; ".join(parts))
