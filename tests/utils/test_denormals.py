"""Denormal numbers are flushed while the zoo works, and as before when it is done."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer

import zoo
from zoo.cli import main
from zoo.utils.denormals import FLUSH_DENORMALS, denormals_given_back, flush_denormals, flushes_denormals

pytestmark = pytest.mark.skipif(not torch.set_flush_denormal(False), reason="this processor always keeps denormals")


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    torch.set_num_threads(2)
    torch.set_flush_denormal(False)  # reaches the second thread, which another test may not have used at its end
    yield
    torch.set_num_threads(1)
    assert not flushes_denormals()


def share_of_zeros() -> float:
    """Multiply denormal numbers by one in all of torch's threads; return how many of the products are zero."""
    return float((torch.full((1_000_000,), 1e-39) * 1.0 == 0).float().mean())


def test_threads_get_their_own_setting_back() -> None:
    both_inside, one_outside = threading.Barrier(2), threading.Barrier(2)
    found: list[bool] = []

    def work(is_first: bool) -> None:
        with denormals_given_back():
            flush_denormals()
            both_inside.wait(10)
            if not is_first:
                one_outside.wait(10)
        found.append(flushes_denormals())
        if is_first:
            one_outside.wait(10)

    threads = [threading.Thread(target=work, args=(is_first,)) for is_first in (True, False)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [False, False]


def test_a_parallel_operation_flushes_in_every_thread() -> None:
    assert share_of_zeros() == 0.0  # torch's threads are there before
    with denormals_given_back():
        flush_denormals()
        assert share_of_zeros() == 1.0
        later: list[float] = []
        thread = threading.Thread(target=lambda: later.append(share_of_zeros()))
        thread.start()
        thread.join()
        assert later == [1.0]
    assert share_of_zeros() == 0.0


def test_the_environment_variable_keeps_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FLUSH_DENORMALS, "0")
    with denormals_given_back():
        flush_denormals()
        assert share_of_zeros() == 0.0


def test_blocks_within_blocks_give_back_what_was_before() -> None:
    with denormals_given_back():
        flush_denormals()
        with denormals_given_back():
            flush_denormals()
        assert flushes_denormals()


class Noting(Callback):
    """Note in each epoch whether denormals are flushed, and break the training off if asked to."""

    def __init__(self, breaking: bool = False) -> None:
        self.flushed: list[bool] = []
        self.breaking = breaking

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.flushed.append(share_of_zeros() == 1.0)
        if self.breaking:
            raise RuntimeError("broken off")


@pytest.mark.parametrize("breaking", [False, True])
def test_a_trainer_of_one_s_own_flushes_while_it_trains(breaking: bool) -> None:
    callback = Noting(breaking)
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", limit_val_batches=0, callbacks=[callback], **quiet)
    model, data = zoo.create_model("softmax"), zoo.MNISTDataModule(num_train=200)
    if breaking:
        with pytest.raises(RuntimeError, match="broken off"):
            trainer.fit(model, datamodule=data)
    else:
        trainer.fit(model, datamodule=data)
        trainer.fit(model, datamodule=data)
    assert callback.flushed == [True]
    assert not flushes_denormals()


@pytest.mark.parametrize("words", [["verify", "softmax"], ["test", "--config", "softmax", "--ckpt_path", "softmax"]])
def test_a_verb_flushes_and_gives_back(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []
    forward = zoo.models.SoftmaxRegression.forward

    def note(self: Any, images: torch.Tensor) -> torch.Tensor:
        seen.append(flushes_denormals())
        return forward(self, images)

    monkeypatch.setattr(zoo.models.SoftmaxRegression, "forward", note)
    assert main(words) == 0
    assert set(seen) == {True}
    assert not flushes_denormals()


class AssertFlushed(Callback):
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert share_of_zeros() == 1.0


@pytest.mark.slow
def test_spawned_processes_flush_too() -> None:
    fit = ["fit", "--config", "softmax", "--trainer.max_epochs", "1", "--data.num_train", "500"]
    fit += ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp_spawn"]
    assert main([*fit, "--trainer.callbacks", "tests.utils.test_denormals.AssertFlushed"]) == 0
