"""What several tests need: callbacks that do harm at a chosen step, processes, digests."""

from __future__ import annotations

import hashlib
import os
import random
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer

from zoo import MNISTDataModule
from zoo.cli import main

SOURCE = str(Path(__file__).parent.parent)


class SignalAt(Callback):
    """Send a signal to this process at the start of a step, as `kill` or Ctrl-C do."""

    def __init__(self, step: int, signal: int) -> None:
        self.step = step
        self.signal = signal

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == self.step - 1 and self.signal:
            os.kill(os.getpid(), self.signal)
            self.signal = 0


class BreakWeightsAt(Callback):
    """Make the weights infinite at the start of a step, as too high a learning rate does."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        if trainer.global_step == self.step - 1:
            with torch.no_grad():
                next(pl_module.parameters()).fill_(float("inf"))


class OtherData(MNISTDataModule):
    """A DataModule of one's own, with the shared one's arguments."""


class WriteWeights(Callback):
    """Write a digest of this process's weights when the training is over."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        Path(f"weights-{trainer.global_rank}.txt").write_text(digest(dict(pl_module.named_parameters())))


class WriteWeightsEachEpoch(Callback):
    """Write a digest of this process's weights at the end of every epoch."""

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        name = f"weights-{trainer.current_epoch}-{trainer.global_rank}.txt"
        Path(name).write_text(digest(dict(pl_module.named_parameters())))


def digest(state: Mapping[str, torch.Tensor]) -> str:
    """A digest of tensors."""
    return hashlib.sha256(b"".join(tensor.detach().numpy().tobytes() for tensor in state.values())).hexdigest()


def weights(path: str | Path) -> str:
    """A digest of a checkpoint's weights."""
    return digest(torch.load(path, weights_only=True)["state_dict"])


def errors(output: str) -> int:
    """The number of errors that a command's output ends with."""
    found = re.findall(r"([\d,]+) errors", output)
    assert found
    return int(found[-1].replace(",", ""))


def complaint(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """Run the command line, check that it ends as a mistake should, return its one sentence."""
    before = sorted(Path().rglob("*"))
    assert main(arguments) == 2
    written = capsys.readouterr()
    assert sorted(Path().rglob("*")) == before
    assert written.err.startswith("zoo: ")
    assert written.err.count("\n") == 1
    assert "Traceback" not in written.err
    return written.err


def start_zoo(*arguments: str, program: tuple[str, ...] = ("-m", "zoo"), **environment: str) -> subprocess.Popen[str]:
    """Start the command line in a process of its own."""
    # Lightning would take a port that the system may give to any connection between its look and its use.
    port = str(random.SystemRandom().randrange(20_000, 30_000))
    return subprocess.Popen(
        [sys.executable, *program, *arguments],
        # The folder of these tests is on the path, so that a config can name a callback of this file.
        env={**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1", "MASTER_PORT": port, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run_zoo(*arguments: str, program: tuple[str, ...] = ("-m", "zoo")) -> str:
    """Run the command line in a process of its own and return what it prints; it must go well."""
    process = start_zoo(*arguments, program=program)
    try:
        output, complaint = process.communicate(timeout=220)
    finally:
        process.kill()
    assert process.returncode == 0, complaint
    return output


def write_pictures(folder: Path, names: list[str], count: int, first: int = 0) -> Path:
    """Write PNGs of test images, a folder for each class: the digits 0, 1, … under these names."""
    data = MNISTDataModule()
    data.prepare_data()
    data.setup("test")
    images, labels = data.splits["test"].images, data.splits["test"].labels
    for digit, name in enumerate(names):
        (folder / name).mkdir(parents=True, exist_ok=True)
        for place in (labels == digit % 10).nonzero().flatten()[first : first + count].tolist():
            Image.fromarray(images[place].numpy()).save(folder / name / f"{place:05}.png")
    return folder
