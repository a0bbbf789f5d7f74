"""What is saved when an error ends a training."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pytorch_lightning import Callback, Trainer
from pytorch_lightning.callbacks import EMAWeightAveraging

import zoo
from zoo.callbacks.checkpointing import ExceptionCheckpoint


class Fail(Callback):
    """Raises an error in the second step, or in the validation after it."""

    def __init__(self, error: type[BaseException], in_validation: bool) -> None:
        self.error = error
        self.in_validation = in_validation

    def on_train_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step == 1 and not self.in_validation:
            raise self.error

    def on_validation_batch_start(self, trainer: Trainer, *_: Any) -> None:
        if trainer.global_step:
            raise self.error


@pytest.mark.parametrize(
    ("error", "in_validation", "averaged", "is_saved"),
    [
        (RuntimeError, False, False, True),
        (RuntimeError, False, True, True),
        (RuntimeError, True, False, True),
        (RuntimeError, True, True, False),
        (KeyboardInterrupt, False, False, False),
    ],
)
def test_an_error_leaves_the_state_of_the_training_unless_weights_and_average_have_changed_places(
    error: type[BaseException], in_validation: bool, averaged: bool, is_saved: bool, tmp_path: Path
) -> None:
    callbacks = [Fail(error, in_validation), ExceptionCheckpoint(tmp_path, "error")]
    callbacks += [EMAWeightAveraging()] if averaged else []
    quiet: dict[str, Any] = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_steps=2, accelerator="cpu", limit_val_batches=1, callbacks=callbacks, **quiet)
    with pytest.raises((error, SystemExit)):
        trainer.fit(zoo.create_model("softmax"), datamodule=zoo.MNISTDataModule(num_train=200))
    assert tmp_path.joinpath("error.ckpt").exists() == is_saved
