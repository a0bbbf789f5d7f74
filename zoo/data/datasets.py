"""Data sets in MNIST's format, by name: 60,000 training and 10,000 test images of 28×28 grey pixels in ten classes.

MNIST ships with the package. The others are torchvision's and are downloaded if missing. A file that is there is only
read: it is never changed, replaced, removed or unpacked.
"""

from __future__ import annotations

import gzip
import io
import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.datasets import KMNIST, MNIST, QMNIST, FashionMNIST

from zoo.data.archives import ARCHIVES, check_folder, read_packaged
from zoo.data.base import DIGITS
from zoo.data.download import Resource, clear_abandoned_downloads, download
from zoo.data.idx import decode_idx, read_idx
from zoo.data.own_files import OWN
from zoo.utils.errors import UsageError, unknown_name

DATASETS: dict[str, type[MNIST]] = {
    "mnist": MNIST,
    "fashion_mnist": FashionMNIST,
    "kmnist": KMNIST,
    "qmnist": QMNIST,
}
"""Data set classes by name. Fashion-MNIST: Xiao, Rasul and Vollgraf, 2017; KMNIST: Clanuwat et al., "Deep learning for
classical Japanese literature", 2018; QMNIST: Yadav and Bottou, "Cold case: the lost MNIST digits", NeurIPS 2019. Of
QMNIST's 60,000 test images only the first 10,000 are used, which are MNIST's."""
QMNIST_TEST_IMAGES = 10_000


def check_dataset(name: str) -> None:
    """Raise `UsageError` unless there is a data set of this name."""
    if name not in (*DATASETS, OWN):
        raise unknown_name("dataset", name, [*DATASETS, OWN])


def class_names(name: str) -> tuple[str, ...]:
    """Return the names of a data set's classes, in the order of the labels."""
    return DIGITS if name in ("mnist", "qmnist", OWN) else tuple(DATASETS[name].classes)


def prepare(name: str, data_dir: Path) -> None:
    """Download the files of a data set that are missing. For MNIST nothing is written, and the folder is checked.

    The files lie in ``data_dir/CLASS/raw``, for example ``data_dir/KMNIST/raw``, compressed or not, where torchvision
    has them too.

    Raises:
        UsageError: Files are missing and cannot be downloaded, or the folder has other files under MNIST's names.
    """
    if name == "mnist":
        check_folder(data_dir)
        return
    folder = _raw_folder(name, data_dir)
    clear_abandoned_downloads(folder)
    missing = [resource for resource in _resources(name) if _find(folder, resource) is None]
    if missing:
        download(name, missing, data_dir, folder)


def read(name: str, data_dir: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    """Read the training or the test images of a data set: MNIST from the package, the others from ``data_dir``.

    Returns:
        The images, uint8 ``(N, 28, 28)``, and the labels, int64 ``(N,)`` in 0..9.

    Raises:
        UsageError: A file is missing, damaged or not one of the data set.
    """
    if name == "mnist":
        check_folder(data_dir)
        return read_mnist(train)
    folder = _raw_folder(name, data_dir)
    resources = _resources(name)[:2] if train else _resources(name)[2:]
    paths = [_find(folder, resource) for resource in resources]
    for path, resource in zip(paths, resources, strict=True):
        if path is None:
            raise UsageError(f"{resource.name} is not in {folder}: call prepare_data() first, or put it there.")
    images_file, labels_file = (path for path in paths if path)
    images, labels = _read_images(images_file), _read_labels(labels_file)
    if len(images) != len(labels):
        raise UsageError(
            f"{images_file} holds {len(images):,} images, but {labels_file.name} {len(labels):,} labels: "
            "replace one of them, or name another data_dir."
        )
    if name == "qmnist" and not train:
        return images[:QMNIST_TEST_IMAGES].clone(), labels[:QMNIST_TEST_IMAGES].clone()
    return images, labels


def read_mnist(train: bool) -> tuple[Tensor, Tensor]:
    """Read the training or the test images of MNIST, and their labels, from the archives in the package."""
    archives = ARCHIVES[:2] if train else ARCHIVES[2:]
    images, labels = (decode_idx(gzip.GzipFile(fileobj=io.BytesIO(read_packaged(each)))) for each in archives)
    return images, labels.to(torch.int64)


def _read_images(path: Path) -> Tensor:
    images = read_idx(path)
    if images.dtype != torch.uint8 or images.shape[1:] != (28, 28):
        shape = " × ".join(map(str, images.shape))
        raise UsageError(
            f"{path} holds {shape} numbers of the type {images.dtype}, but images are N × 28 × 28 of the type "
            "torch.uint8: remove it, or replace it."
        )
    return images


def _read_labels(path: Path) -> Tensor:
    labels = read_idx(path)
    if labels.dim() == 2:
        labels = labels[:, 0]  # QMNIST's have further columns after the class, for example the writer
    if labels.dim() != 1 or not 0 <= int(labels.min()) <= int(labels.max()) < len(DIGITS):
        raise UsageError(f"{path} holds other numbers than labels of 0 to 9: remove it, or replace it.")
    return labels.to(torch.int64)


def _raw_folder(name: str, data_dir: Path) -> Path:
    return data_dir / DATASETS[name].__name__ / "raw"


def _find(folder: Path, resource: Resource) -> Path | None:
    """Return the path of a file, decompressed or not. A symbolic link to nothing is found too: the name is taken."""
    for path in (folder / resource.name.removesuffix(".gz"), folder / resource.name):
        if os.path.lexists(path):
            return path
    return None


def _resources(name: str) -> list[Resource]:
    """Return the files of a data set: training images and labels, test images and labels."""
    dataset: Any = DATASETS[name]
    found = dataset.resources
    pairs = [*found["train"], *found["test"]] if isinstance(found, dict) else found
    # QMNIST's are whole addresses.
    mirrors = [""] if "://" in pairs[0][0] else dataset.mirrors
    return [Resource(file.rpartition("/")[2], [f"{mirror}{file}" for mirror in mirrors], md5) for file, md5 in pairs]
