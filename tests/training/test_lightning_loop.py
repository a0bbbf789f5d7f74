"""What the zoo relies on inside Lightning: each name by itself, with one step in a call and with several."""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint, TQDMProgressBar

import zoo
from zoo.training.lightning_loop import can_average_in_chunks

AFTER_TWO_EPOCHS = {
    "global_step": 14,
    "num_training_batches": 7,
    "val_check_batch": 7,
    "fit_loop.epoch_loop.batch_progress.current.ready": 7,
    "fit_loop.epoch_loop.batch_progress.current.started": 7,
    "fit_loop.epoch_loop.batch_progress.current.processed": 7,
    "fit_loop.epoch_loop.batch_progress.current.completed": 7,
    "fit_loop.epoch_loop.batch_progress.total.ready": 14,
    "fit_loop.epoch_loop.batch_progress.total.completed": 14,
    "fit_loop.epoch_loop.batch_progress.is_last_batch": True,
    "fit_loop.epoch_loop._batches_that_stepped": 14,
    "fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.ready": 14,
    "fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed": 14,
    "fit_loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.current.completed": 7,
    "fit_loop.epoch_progress.current.processed": 2,
    "fit_loop._can_stop_early": True,
    "fit_loop._data_fetcher.fetched": 7,
    "fit_loop._data_fetcher.length": 7,
    "fit_loop._data_fetcher.done": True,
}
"""Names below a Trainer, and what they hold after two epochs of seven steps."""


class Reading(Callback):
    """Read the names at the end of the second epoch."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.values = {name: reduce(getattr, name.split("."), trainer) for name in AFTER_TWO_EPOCHS}


@pytest.fixture(scope="module", params=[1, 3, None], ids=["one step in a call", "three", "as many as possible"])
def values(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    callback = Reading()
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=2, accelerator="cpu", limit_val_batches=1, callbacks=[callback], **quiet)
    data = zoo.MNISTDataModule(str(tmp_path_factory.mktemp("data")), num_train=650)
    trainer.fit(zoo.create_model("softmax", steps_per_call=request.param), datamodule=data)
    return callback.values


@pytest.mark.parametrize("name", AFTER_TWO_EPOCHS)
def test_a_name_holds_what_the_loop_takes_it_for(name: str, values: dict[str, Any]) -> None:
    assert values[name] == AFTER_TWO_EPOCHS[name]


def test_checkpoint_intervals_have_their_names() -> None:
    assert ModelCheckpoint(every_n_train_steps=7)._every_n_train_steps == 7
    assert ModelCheckpoint()._train_time_interval is None


def test_an_average_of_weights_has_its_names(tmp_path: Path) -> None:
    callback = EMAWeightAveraging()
    assert callback._use_buffers
    assert callback._device is None
    assert can_average_in_chunks(callback)
    assert not can_average_in_chunks(EMAWeightAveraging(update_every_n_steps=2))
    assert not can_average_in_chunks(EMAWeightAveraging(update_starting_at_step=3))
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", limit_val_batches=0, callbacks=[callback], **quiet)
    trainer.fit(zoo.create_model("softmax"), datamodule=zoo.MNISTDataModule(str(tmp_path), num_train=650))
    assert callback._latest_update_step == 7
    assert callback._average_model is not None
    assert callback._average_model.n_averaged == 7


@pytest.mark.parametrize("images", [50, 650, 1000])
def test_lightning_s_own_progress_bar_ends_at_the_last_step(images: int, tmp_path: Path) -> None:
    bar = TQDMProgressBar()
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", limit_val_batches=0, callbacks=[bar], **quiet)
    trainer.fit(zoo.create_model("softmax"), datamodule=zoo.MNISTDataModule(str(tmp_path), num_train=images))
    assert bar.train_progress_bar.n == bar.train_progress_bar.total == -(-images // 100)
