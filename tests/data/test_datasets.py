"""Data sets in MNIST's format: what is read from a folder of the user's, which is never changed."""

from __future__ import annotations

import gzip
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.helpers import error_output, errors, idx_bytes, replace_by_folder, replace_by_pipe, snapshot, write_dataset
from zoo import MNISTDataModule
from zoo.cli import main
from zoo.data import datasets
from zoo.data.datasets import DATASETS
from zoo.utils.errors import UsageError

RAW = Path("data/KMNIST/raw")
TEST_IMAGES, TEST_LABELS = "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"
FIT = ["--data.data_dir", "data", "--trainer.accelerator", "cpu"]


def repack(path: Path) -> None:
    """Compress a file again, with other settings than its publisher, as Debian does."""
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=1, mtime=1))


def unpack(path: Path) -> None:
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    path.unlink()


def keep(path: Path) -> None:
    """Leave a file as it is."""


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist"])
def test_existing_archives_are_read_without_a_network(
    name: str, no_network: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    write_dataset(Path("data"), name, 60_000, 10_000)
    before = snapshot(Path("data"))
    words = ["--data.dataset", name, "--data.num_train", "500", "--trainer.max_epochs", "3", *FIT]
    assert main(["fit", "--config", "deep_relu_xavier", *words]) == 0
    assert errors(capsys.readouterr().out) == 0  # bright and dark images are easy to classify
    data = MNISTDataModule("data", dataset=name)
    data.setup()
    images, labels = next(iter(data.test_dataloader()))
    assert torch.equal(images.mean(dim=(1, 2, 3)) > 0.5, labels == 1)
    assert len(data.training_set()) == 55_000
    assert snapshot(Path("data")) == before


@pytest.mark.parametrize("changes", [[keep], [repack], [unpack], [keep, repack, unpack, unpack], [unpack, keep]])
def test_either_file_of_each_pair_is_read_and_none_is_changed(
    changes: Sequence[Callable[[Path], None]], no_network: list[float]
) -> None:
    raw = write_dataset(Path("data"), "kmnist", 30, 20)
    for index, path in enumerate(sorted(raw.iterdir())):
        changes[index % len(changes)](path)
    (raw / "notes.txt").write_text("mine")
    before = snapshot(Path("data"))
    MNISTDataModule("data", dataset="kmnist", val_size=0).prepare_data()
    images, labels = datasets.read("kmnist", Path("data"), train=False)
    assert (images.shape, images.dtype) == ((20, 28, 28), torch.uint8)
    assert (labels.tolist(), labels.dtype) == ([0, 1] * 10, torch.int64)
    assert not no_network
    assert snapshot(Path("data")) == before


def test_folder_that_cannot_be_written_is_enough_when_it_has_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    write_dataset(Path("data"), "kmnist", 30, 20)
    for name in ("mkdir", "open", "link", "rename", "replace", "unlink", "rmdir"):
        monkeypatch.setattr(os, name, None)  # nothing that writes is called
    MNISTDataModule("data", dataset="kmnist", val_size=0).prepare_data()


def test_folders_and_files_that_are_links_are_read(no_network: list[float]) -> None:
    raw = write_dataset(Path("elsewhere"), "kmnist", 30, 20)
    RAW.parent.mkdir(parents=True)
    RAW.symlink_to(raw.absolute())
    shutil.move(raw / TEST_IMAGES, "images")
    (raw / TEST_IMAGES).symlink_to(Path("images").absolute())
    datasets.prepare("kmnist", Path("data"))
    assert len(datasets.read("kmnist", Path("data"), train=False)[0]) == 20


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def replace_by_link_to_nothing(path: Path) -> None:
    path.unlink()
    path.symlink_to("nothing")


def unpack_in_part(path: Path) -> None:
    path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes())[:1000])


@pytest.mark.parametrize(
    "change", [cut, empty, replace_by_folder, replace_by_pipe, replace_by_link_to_nothing, unpack_in_part]
)
def test_damaged_file_is_refused_by_name_and_left_as_it_is(
    change: Callable[[Path], None], no_network: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    raw = write_dataset(Path("data"), "kmnist", 30, 20)
    change(raw / TEST_IMAGES)
    before = snapshot(Path())
    assert "t10k-images-idx3-ubyte" in error_output(
        ["fit", "--config", "softmax", "--data.dataset", "kmnist", *FIT], capsys
    )
    assert snapshot(Path()) == before
    assert not no_network


@pytest.mark.parametrize(
    ("file", "numbers", "sentence"),
    [
        (TEST_IMAGES, np.zeros((20, 32, 32), np.uint8), "holds 20 × 32 × 32 numbers of the type torch.uint8"),
        (TEST_IMAGES, np.zeros((20, 28, 28), np.int32), "holds 20 × 28 × 28 numbers of the type torch.int32"),
        (TEST_IMAGES, np.zeros(20, np.uint8), "holds 20 numbers of the type torch.uint8"),
        (TEST_IMAGES, np.zeros((19, 28, 28), np.uint8), "holds 19 images, but t10k-labels-idx1-ubyte.gz 20 labels"),
        (TEST_LABELS, np.full(20, 10, np.uint8), "holds other numbers than labels of 0 to 9"),
        (TEST_LABELS, np.full(20, -1, np.int32), "holds other numbers than labels of 0 to 9"),
        (TEST_LABELS, np.zeros((20, 2, 2), np.uint8), "holds other numbers than labels of 0 to 9"),
        (TEST_LABELS, np.zeros(21, np.uint8), "holds 20 images, but t10k-labels-idx1-ubyte.gz 21 labels"),
    ],
)
def test_files_of_other_data_are_refused(
    file: str, numbers: NDArray[Any], sentence: str, no_network: list[float]
) -> None:
    raw = write_dataset(Path("data"), "kmnist", 30, 20)
    (raw / file).write_bytes(gzip.compress(idx_bytes(numbers)))
    data = MNISTDataModule("data", dataset="kmnist", val_size=10)
    for call in (data.prepare_data, data.setup):
        with pytest.raises(UsageError) as error:
            call()
        assert sentence in str(error.value)


def test_too_few_training_images_are_reported(no_network: list[float]) -> None:
    write_dataset(Path("data"), "kmnist", 300, 20)
    data = MNISTDataModule("data", dataset="kmnist", val_size=100, num_train=200)
    data.setup()
    assert len(data.training_set()) == 200
    for val_size, num_train in ((5000, None), (300, None), (100, 201)):
        data = MNISTDataModule("data", dataset="kmnist", val_size=val_size, num_train=num_train)
        for call in (data.prepare_data, data.setup):
            with pytest.raises(UsageError, match=r"has 300 training images, but [0-9,]+ are wanted for validation"):
                call()


def test_setup_before_prepare_data_is_reported() -> None:
    with pytest.raises(UsageError, match=r"train-images-idx3-ubyte\.gz is not in .*: call prepare_data\(\) first"):
        MNISTDataModule("data", dataset="kmnist").setup("fit")


def test_qmnist_test_set_is_the_first_10000_and_its_label_the_first_column() -> None:
    raw = Path("data/QMNIST/raw")
    raw.mkdir(parents=True)
    count = 10_002
    labels = np.stack([np.arange(count) % 10, np.full(count, 77)], axis=1).astype(np.int32)
    images = np.zeros((count, 28, 28), np.uint8)
    for part in ("train", "test"):
        (raw / f"qmnist-{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (raw / f"qmnist-{part}-labels-idx2-int.gz").write_bytes(gzip.compress(idx_bytes(labels)))
    datasets.prepare("qmnist", Path("data"))
    assert len(datasets.read("qmnist", Path("data"), train=True)[1]) == count
    images_read, labels_read = datasets.read("qmnist", Path("data"), train=False)
    assert images_read.shape == (10_000, 28, 28)
    assert labels_read.tolist() == list(range(10)) * 1000


def test_files_are_read_as_torchvision_reads_them() -> None:
    """A folder that torchvision has filled is read as it is."""
    raw = write_dataset(Path("data"), "kmnist", 30, 20)
    for path in list(raw.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    for train in (True, False):
        reference = DATASETS["kmnist"]("data", train=train)
        images, labels = datasets.read("kmnist", Path("data"), train=train)
        assert torch.equal(images, reference.data)
        assert torch.equal(labels, reference.targets)


def test_misspelt_data_set_gives_a_one_sentence_error(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "--config", "softmax", "--data.dataset", "fashon_mnist", "--trainer.accelerator", "cpu"]
    assert "did you mean fashion_mnist" in error_output(words, capsys)


def test_training_and_test_files_that_are_swapped_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_dataset(Path("data"), "kmnist", 10_000, 60_000)
    message = error_output(["fit", "--config", "softmax", "--data.dataset", "kmnist", *FIT], capsys)
    assert "has 10,000 training images and 60,000 test images: the files seem to be swapped" in message
