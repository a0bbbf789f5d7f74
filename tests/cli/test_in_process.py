"""The command again and again in one process, as notebooks and studies call it."""

from __future__ import annotations

import gc
import signal
import warnings

import pytest
from pytorch_lightning import Trainer

from zoo.cli import main

FIT = ["fit", "--config", "softmax", "--trainer.max_epochs", "1", "--data.num_train", "500"]
FIT += ["--trainer.accelerator", "cpu", "--trainer.limit_test_batches", "1"]


def trainers_alive() -> int:
    gc.collect()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what some of torch's objects say when they are looked at
        return sum(isinstance(each, Trainer) for each in gc.get_objects())


@pytest.mark.parametrize("end", ["finished", "stopped"])
def test_a_training_leaves_nothing_behind(end: str) -> None:
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    alive = trainers_alive()
    stop = f'{{"class_path": "tests.helpers.SignalAt", "init_args": {{"step": 3, "signal": {int(signal.SIGTERM)}}}}}'
    words = [*FIT, "--trainer.callbacks", stop] if end == "stopped" else FIT
    for _ in range(3):
        assert main(words) == (143 if end == "stopped" else 0)
    assert trainers_alive() <= alive
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
