"""Data sets in MNIST's format, by name: 60,000 training and 10,000 test images of 28×28 grey pixels in ten classes.

MNIST ships with the package. The others are torchvision's and are downloaded if missing.
"""

from __future__ import annotations

import gzip
import socket
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.datasets import KMNIST, MNIST, QMNIST, FashionMNIST

from zoo.data.archives import stage
from zoo.data.base import DIGITS
from zoo.utils.console import print_rank_zero
from zoo.utils.errors import UsageError, unknown_name
from zoo.utils.files import write_bytes

DATASETS: dict[str, type[MNIST]] = {
    "mnist": MNIST,
    "fashion_mnist": FashionMNIST,
    "kmnist": KMNIST,
    "qmnist": QMNIST,
}
"""Data set classes by name. Fashion-MNIST: Xiao, Rasul and Vollgraf, 2017; KMNIST: Clanuwat et al., "Deep learning for
classical Japanese literature", 2018; QMNIST: Yadav and Bottou, "Cold case: the lost MNIST digits", NeurIPS 2019. Of
QMNIST's 60,000 test images only the first 10,000 are used, which are MNIST's."""

MAX_ATTEMPTS = 3
RETRY_DELAY = 2.0
"""Seconds before the second download attempt. The delay before the third is twice as long."""
READ_ERRORS = (OSError, RuntimeError, ValueError, AssertionError)
"""What torchvision raises if a file is missing, truncated or cannot be downloaded."""
SOCKET_TIMEOUT = 20.0
"""Seconds without data after which a download attempt is aborted, so that a hanging mirror does not block training."""


def check_dataset(name: str) -> None:
    """Raise `UsageError` unless there is a data set of this name."""
    if name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS)


def class_names(name: str) -> tuple[str, ...]:
    """Return the names of a data set's classes, in the order of the labels."""
    return DIGITS if name in ("mnist", "qmnist") else tuple(DATASETS[name].classes)


def prepare(name: str, data_dir: Path) -> None:
    """Write a data set's files to ``data_dir``, where torchvision expects them, downloading them if necessary.

    Raises:
        UsageError: The files are missing and cannot be downloaded, or the folder cannot be written.
    """
    if name == "mnist":
        stage(data_dir)
        return
    folder = data_dir / DATASETS[name].__name__ / "raw"
    problem: Exception | None = None
    for attempt in range(MAX_ATTEMPTS):
        if attempt:
            print_rank_zero(
                f"The download of {name} failed ({_reason(problem)}); once more in {RETRY_DELAY * attempt:.0f} s."
            )
            time.sleep(RETRY_DELAY * attempt)
        try:
            _unpack(folder, _file_names(name))
            with _socket_timeout():
                for train in (True, False):
                    # Downloads only what is missing.
                    DATASETS[name](str(data_dir), train=train, download=True, **_split_arguments(name, train))
            return
        except READ_ERRORS as error:
            problem = error
            _remove_unpacked(folder)
    raise UsageError(
        f"{name} is not in {folder} and could not be downloaded ({_reason(problem)}): put "
        f"{', '.join(_file_names(name))} there, or name another data.data_dir."
    )


def read(name: str, data_dir: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    """Read the training or the test images of a data set.

    Returns:
        The images, uint8 ``(N, 28, 28)``, and the labels, int64 ``(N,)``.

    Raises:
        UsageError: The files are missing or damaged.
    """
    try:
        archive = DATASETS[name](str(data_dir), train=train, download=False, **_split_arguments(name, train))
    except READ_ERRORS as error:
        raise UsageError(f"No {name} in {data_dir}, or a damaged one: call prepare_data() first.") from error
    labels = archive.targets.to(torch.int64)
    # QMNIST's labels have further columns after the class, for example the writer.
    return archive.data, labels[:, 0] if labels.dim() == 2 else labels


def _reason(problem: Exception | None) -> str:
    """Return the message of an exception in one line."""
    return " ".join(str(problem).split())


def _unpack(folder: Path, names: list[str]) -> None:
    """Decompress the archives in a folder that are not decompressed yet.

    torchvision does this too, but rejects archives that were compressed again, as Debian's are, because their MD5
    differs.
    """
    for packed in (folder / name for name in names):
        unpacked = packed.with_suffix("")
        if packed.suffix != ".gz" or not packed.is_file() or unpacked.exists():
            continue
        try:
            content = gzip.decompress(packed.read_bytes())
        except (OSError, EOFError, zlib.error):
            continue  # damaged: torchvision downloads it again
        write_bytes(unpacked, content, replace=True)


def _remove_unpacked(folder: Path) -> None:
    """Remove the decompressed files, which may be incomplete: torchvision only checks that they exist."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix not in (".gz", ".xz"):
                path.unlink(missing_ok=True)


def _split_arguments(name: str, train: bool) -> dict[str, Any]:
    return {"what": "train" if train else "test10k"} if name == "qmnist" else {}


def _file_names(name: str) -> list[str]:
    resources: Any = DATASETS[name].resources
    pairs = [*resources["train"], *resources["test"]] if isinstance(resources, dict) else resources
    return [file.rpartition("/")[2] for file, _ in pairs]


@contextmanager
def _socket_timeout() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(SOCKET_TIMEOUT)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
