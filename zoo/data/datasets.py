"""Data sets of MNIST's form, by name: 60,000 training and 10,000 test images of 28×28 grey pixels in ten classes.

MNIST comes with the package; the others are torchvision's, downloaded when they are not there.
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
"""Name to class. Fashion-MNIST: Xiao, Rasul and Vollgraf, 2017; KMNIST: Clanuwat et al., "Deep learning for classical
Japanese literature", 2018; QMNIST: Yadav and Bottou, "Cold case: the lost MNIST digits", NeurIPS 2019, of whose 60,000
test images the first 10,000 are used, which are MNIST's."""

ATTEMPTS = 3
PAUSE = 2.0
"""Seconds before the second attempt at a download; twice as many before the third."""
DAMAGE = (OSError, RuntimeError, ValueError, AssertionError)
"""What torchvision raises when a file is missing, cannot be downloaded, or is cut off."""
PATIENCE = 20.0
"""Seconds without a byte, after which an attempt is given up: a mirror that hangs must not hang the training."""


def check_dataset(name: str) -> None:
    """Raise `UsageError` unless there is a data set of this name."""
    if name not in DATASETS:
        raise unknown_name("dataset", name, DATASETS)


def class_names(name: str) -> tuple[str, ...]:
    """Return what a data set's classes are called, in the order of their labels."""
    return DIGITS if name in ("mnist", "qmnist") else tuple(DATASETS[name].classes)


def prepare(name: str, data_dir: Path) -> None:
    """Put a data set's files into ``data_dir``, where torchvision looks for them.

    Raises:
        UsageError: They are not there and cannot be downloaded, or the folder cannot be written.
    """
    if name == "mnist":
        stage(data_dir)
        return
    folder = data_dir / DATASETS[name].__name__ / "raw"
    problem: Exception | None = None
    for attempt in range(ATTEMPTS):
        if attempt:
            print_rank_zero(
                f"The download of {name} failed ({_reason(problem)}); once more in {PAUSE * attempt:.0f} s."
            )
            time.sleep(PAUSE * attempt)
        try:
            _unpack(folder, _file_names(name))
            with _patience():
                for train in (True, False):
                    # It looks for the files first.
                    DATASETS[name](str(data_dir), train=train, download=True, **_part(name, train))
            return
        except DAMAGE as error:
            problem = error
            _remove_unpacked(folder)
    raise UsageError(
        f"{name} is not in {folder} and could not be downloaded ({_reason(problem)}): put "
        f"{', '.join(_file_names(name))} there, or name another data.data_dir."
    )


def read(name: str, data_dir: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    """Return a part's images, uint8 ``(N, 28, 28)``, and labels, int64 ``(N,)``.

    Raises:
        UsageError: The files are not there.
    """
    try:
        archive = DATASETS[name](str(data_dir), train=train, download=False, **_part(name, train))
    except DAMAGE as error:
        raise UsageError(f"No {name} in {data_dir}, or a damaged one: call prepare_data() first.") from error
    labels = archive.targets.to(torch.int64)
    # QMNIST tells of each digit who wrote it, and more, behind its class.
    return archive.data, labels[:, 0] if labels.dim() == 2 else labels


def _reason(problem: Exception | None) -> str:
    """Return what torchvision says, in one line."""
    return " ".join(str(problem).split())


def _unpack(folder: Path, names: list[str]) -> None:
    """Unpack what lies there packed.

    torchvision would, but not a copy that somebody has packed anew, as Debian's is: its digest is another one.
    """
    for packed in (folder / name for name in names):
        unpacked = packed.with_suffix("")
        if packed.suffix != ".gz" or not packed.is_file() or unpacked.exists():
            continue
        try:
            content = gzip.decompress(packed.read_bytes())
        except (OSError, EOFError, zlib.error):
            continue  # a damaged one, for which torchvision takes another
        write_bytes(unpacked, content)


def _remove_unpacked(folder: Path) -> None:
    """Remove what may have been unpacked half: torchvision looks only whether it is there."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path.suffix not in (".gz", ".xz"):
                path.unlink(missing_ok=True)


def _part(name: str, train: bool) -> dict[str, Any]:
    return {"what": "train" if train else "test10k"} if name == "qmnist" else {}


def _file_names(name: str) -> list[str]:
    resources: Any = DATASETS[name].resources
    pairs = [*resources["train"], *resources["test"]] if isinstance(resources, dict) else resources
    return [file.rpartition("/")[2] for file, _ in pairs]


@contextmanager
def _patience() -> Iterator[None]:
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
