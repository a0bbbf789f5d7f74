from __future__ import annotations

import gzip
import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import error_output, errors
from zoo import MNISTDataModule
from zoo.cli import main
from zoo.data import datasets
from zoo.data.datasets import DATASETS
from zoo.utils.errors import UsageError


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Refuse every connection; return the delays between download attempts."""
    delays: list[float] = []

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("Network is unreachable")

    monkeypatch.setattr("socket.socket.connect", refuse)
    monkeypatch.setattr("socket.getaddrinfo", refuse)
    monkeypatch.setattr("zoo.data.datasets.time.sleep", delays.append)
    return delays


def write_archives(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a data set's files with the publishers' names and compression: class 1 is bright and class 0 dark."""
    raw = folder / DATASETS[name].__name__ / "raw"
    raw.mkdir(parents=True)
    resources = []
    for part, count in (("train", 60_000), ("t10k", 10_000)):
        labels = (np.arange(count) % 2).astype(np.uint8)
        images = np.repeat(labels * 200, 784).reshape(count, 28, 28).astype(np.uint8)
        contents = {
            f"{part}-images-idx3-ubyte.gz": struct.pack(">iiii", 2051, count, 28, 28) + images.tobytes(),
            f"{part}-labels-idx1-ubyte.gz": struct.pack(">ii", 2049, count) + labels.tobytes(),
        }
        for file, content in contents.items():
            packed = gzip.compress(content, compresslevel=1)
            (raw / file).write_bytes(packed)
            resources.append((file, hashlib.md5(packed).hexdigest()))
    monkeypatch.setattr(DATASETS[name], "resources", resources)


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist"])
def test_existing_archives_are_read_without_a_network(
    name: str, no_network: list[float], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_archives(Path("data"), name, monkeypatch)
    words = ["--data.dataset", name, "--data.data_dir", "data", "--data.num_train", "500", "--trainer.max_epochs", "3"]
    fit = ["fit", "--config", "deep_relu_xavier", *words, "--trainer.accelerator", "cpu"]
    assert main(fit) == 0
    assert errors(capsys.readouterr().out) == 0  # bright and dark images are easy to classify
    data = MNISTDataModule("data", dataset=name)
    data.setup()
    images, labels = next(iter(data.test_dataloader()))
    assert torch.equal(images.mean(dim=(1, 2, 3)) > 0.5, labels == 1)
    assert len(data.training_set()) == 55_000


def test_archives_that_were_compressed_again_are_read(no_network: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    write_archives(Path("data"), "kmnist", monkeypatch)
    other_digests = [(file, "0" * 32) for file, _ in DATASETS["kmnist"].resources]  # MD5s that do not match
    monkeypatch.setattr(DATASETS["kmnist"], "resources", other_digests)
    data = MNISTDataModule("data", dataset="kmnist")
    data.prepare_data()
    data.setup("fit")
    assert len(data.training_set()) == 55_000
    assert not no_network
    # A damaged archive is not read.
    packed = Path("data/KMNIST/raw/train-images-idx3-ubyte.gz")
    packed.with_suffix("").unlink()
    packed.write_bytes(packed.read_bytes()[:-100])
    with pytest.raises(UsageError, match="could not be downloaded"):
        MNISTDataModule("data", dataset="kmnist").prepare_data()


@pytest.mark.parametrize("left", [0, 5000])
def test_incompletely_decompressed_file_is_decompressed_again(
    left: int, no_network: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_archives(Path("data"), "kmnist", monkeypatch)
    data = MNISTDataModule("data", dataset="kmnist")
    data.prepare_data()
    unpacked = Path("data/KMNIST/raw/train-images-idx3-ubyte")
    whole = unpacked.read_bytes()
    unpacked.write_bytes(whole[:left])
    data.prepare_data()
    assert unpacked.read_bytes() == whole


@pytest.mark.parametrize("name", ["fashion_mnist", "kmnist", "qmnist"])
def test_failed_download_names_the_files_and_the_folder(
    name: str, no_network: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--data.dataset", name, "--data.data_dir", "data", "--trainer.accelerator", "cpu"]
    assert main(["fit", "--config", "softmax", *words]) == 2
    said = capsys.readouterr().err.splitlines()
    assert no_network == [2.0, 4.0]
    assert said[-1].startswith(f"zoo: {name} is not in data/{DATASETS[name].__name__}/raw and could not be downloaded")
    assert "images-idx3-ubyte.gz" in said[-1]
    assert not Path("logs").exists()


def test_qmnist_labels_are_the_first_column(monkeypatch: pytest.MonkeyPatch) -> None:
    class Archive:
        def __init__(self, root: str, *, train: bool, download: bool, what: str) -> None:
            assert what == ("train" if train else "test10k")
            self.data = torch.zeros(3, 28, 28, dtype=torch.uint8)
            self.targets = torch.tensor([[5, 0, 9], [0, 1, 9], [4, 2, 9]], dtype=torch.int32)

    monkeypatch.setitem(DATASETS, "qmnist", Archive)
    images, labels = datasets.read("qmnist", Path("data"), train=False)
    assert labels.tolist() == [5, 0, 4]
    assert labels.dtype == torch.int64
    assert images.shape == (3, 28, 28)


def test_misspelt_data_set_gives_a_one_sentence_error(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["fit", "--config", "softmax", "--data.dataset", "fashon_mnist", "--trainer.accelerator", "cpu"]
    assert "did you mean fashion_mnist" in error_output(words, capsys)
