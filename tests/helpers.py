"""Shared test helpers: callbacks that cause a failure at a given step, subprocesses, digests of weights."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import re
import stat
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer

from zoo import MNISTDataModule
from zoo.cli import main
from zoo.data.datasets import DATASETS

SOURCE = str(Path(__file__).parent.parent)


class SignalAt(Callback):
    """Sends a signal to this process at the start of a step, as `kill` and Ctrl-C do."""

    def __init__(self, step: int, signal: int) -> None:
        self.step = step
        self.signal = signal

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step - 1 and self.signal:
            os.kill(os.getpid(), self.signal)
            self.signal = 0


class BreakWeightsAt(Callback):
    """Makes the weights infinite at the start of a step, as a too high learning rate may."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step == self.step - 1:
            with torch.no_grad():
                next(pl_module.parameters()).fill_(float("inf"))


class OtherData(MNISTDataModule):
    """A user-defined data module with the arguments of `MNISTDataModule`."""


class WriteWeights(Callback):
    """Writes a digest of this process's weights when training ends."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        Path(f"weights-{trainer.global_rank}.txt").write_text(digest(dict(pl_module.named_parameters())))


class WriteWeightsEachEpoch(Callback):
    """Writes a digest of this process's weights at the end of every epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        name = f"weights-{trainer.current_epoch}-{trainer.global_rank}.txt"
        Path(name).write_text(digest(dict(pl_module.named_parameters())))


def digest(state: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 digest of tensors."""
    return hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in state.values())).hexdigest()


def weights(path: str | Path) -> str:
    """Return the SHA-256 digest of a checkpoint's weights."""
    return digest(torch.load(path, weights_only=True)["state_dict"])


def errors(output: str) -> int:
    """Return the last number of errors in the output of a command."""
    counts = re.findall(r"([\d,]+) errors?\b", output)
    assert counts
    return int(counts[-1].replace(",", ""))


def error_output(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run a command that must fail with a usage error, and return the error message.

    Checks that the exit status is 2, that standard error is a single line and that no file is written.
    """
    files_before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert sorted(Path().rglob("*")) == files_before
    assert captured.err.startswith("zoo: ")
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    return captured.err


def start_zoo(
    *arguments: str,
    program: tuple[str, ...] = ("-m", "zoo"),
    stderr: int | IO[str] = subprocess.PIPE,
    **environment: str,
) -> subprocess.Popen[str]:
    """Start the command line in a subprocess.

    Args:
        *arguments: Arguments of the command.
        program: Arguments of the Python interpreter that select the program.
        stderr: Where standard error goes.
        **environment: Additional environment variables.
    """
    # Lightning picks a free port from the ephemeral range, where another connection may take it before it is used.
    port = str(random.SystemRandom().randrange(20_000, 30_000))
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        # With the repository on the path, a config can name the callbacks of this file.
        env={**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1", "MASTER_PORT": port, **environment},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def run_zoo(*arguments: str, program: tuple[str, ...] = ("-m", "zoo"), **environment: str) -> str:
    """Run the command line as `start_zoo` does in a subprocess that must succeed, and return its output."""
    process = start_zoo(*arguments, program=program, stderr=subprocess.PIPE, **environment)
    try:
        output, error_output = process.communicate(timeout=220)
    finally:
        process.kill()
    assert process.returncode == 0, error_output
    return output


def write_pictures(folder: Path, names: list[str], count: int, first: int = 0) -> Path:
    """Write test images as PNG files, with one folder per class.

    Args:
        folder: The parent folder.
        names: Folder names for the digits 0, 1, …
        count: Number of images per class.
        first: Number of images of each class to skip.

    Returns:
        ``folder``.
    """
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("test")
    images, labels = data.splits["test"].images, data.splits["test"].labels
    for digit, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for index in (labels == digit % 10).nonzero().flatten()[first : first + count].tolist():
            Image.fromarray(images[index].numpy()).save(folder / name / f"{index:05}.png")
    return folder


def idx_bytes(numbers: NDArray[Any]) -> bytes:
    """Return the content of an idx file of uint8 or int32 numbers."""
    code, dtype = (0x08, "u1") if numbers.dtype == np.uint8 else (0x0C, ">i4")
    header = struct.pack(f">BBBB{numbers.ndim}I", 0, 0, code, numbers.ndim, *numbers.shape)
    return header + numbers.astype(dtype).tobytes()


def snapshot(folder: Path) -> dict[str, tuple[Any, ...]]:
    """Return what lies in a folder: of each path the kind, the time of change, and the content or the link's target."""
    found: dict[str, tuple[Any, ...]] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = (
            os.readlink(path) if path.is_symlink() else path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        )
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_ino, status.st_mtime_ns, content)
    return found


def write_dataset(folder: Path, name: str, train: int, test: int) -> Path:
    """Write the files of a data set in MNIST's format, compressed: class 1 is bright and class 0 dark.

    Args:
        folder: The data folder.
        name: ``fashion_mnist`` or ``kmnist``.
        train: Number of training images.
        test: Number of test images.

    Returns:
        The folder with the files.
    """
    raw = folder / DATASETS[name].__name__ / "raw"
    raw.mkdir(parents=True)
    for part, count in (("train", train), ("t10k", test)):
        labels = (np.arange(count) % 2).astype(np.uint8)
        images = np.repeat(labels * 200, 784).reshape(count, 28, 28).astype(np.uint8)
        for file, numbers in (("images-idx3", images), ("labels-idx1", labels)):
            packed = gzip.compress(idx_bytes(numbers), compresslevel=2, mtime=0)
            (raw / f"{part}-{file}-ubyte.gz").write_bytes(packed)
    return raw


def replace_by_folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


def replace_by_pipe(path: Path) -> None:
    """Put a pipe in the place of a file."""
    path.unlink()
    os.mkfifo(path)
