"""A callback that writes a run's metrics to a file, for the program that started the run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.trainer.states import TrainerFn

from zoo.callbacks.run_record import RunRecord
from zoo.models.counting import CountingModule
from zoo.runs.checkpoint import read_checkpoint

METRICS_FILE_VARIABLE = "ZOO_METRICS_FILE"
"""The environment variable that names the file. Without it nothing is written."""


class MetricsFile(Callback):
    """Append metrics to a file as JSON, one object a line, with all digits.

    - Before the training: ``{"machine": …, "versions": …}``, as `RunRecord` has them.
    - After each validation: ``{"epoch": 0, "seconds": …, "val_loss": …, "val_acc": …}``, the epoch counted from 0.
    - After the training: ``{"seconds": …}``, its duration, with what was trained before it was resumed.
    - After the test: ``{"test_loss": …, "test_acc": …, "test_errors": …, "test_images": …, "tested_epoch": …}``, the
      epoch of the network that was tested; null if it is that of the end of the training.

    Args:
        path: The file, which is appended to.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the machine and the versions."""
        record = _run_record(trainer)
        self._append(trainer, {name: record[name] for name in ("machine", "versions") if name in record})

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the validation metrics of an epoch."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self._append(trainer, {"epoch": trainer.current_epoch, **_seconds(trainer), **_metrics(trainer, "val_")})

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the duration of the training."""
        self._append(trainer, _seconds(trainer))

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the test metrics."""
        tested = trainer.ckpt_path
        epoch = read_checkpoint(tested).content["epoch"] if tested else None
        images = pl_module.test_images if isinstance(pl_module, CountingModule) else None
        self._append(trainer, {**_metrics(trainer, "test_"), "test_images": images, "tested_epoch": epoch})

    def _append(self, trainer: Trainer, content: dict[str, Any]) -> None:
        if trainer.is_global_zero:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(content) + "\n")


def _metrics(trainer: Trainer, prefix: str) -> dict[str, float]:
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}


def _run_record(trainer: Any) -> dict[str, Any]:
    records = (callback.state_dict() for callback in trainer.callbacks if isinstance(callback, RunRecord))
    return next(records, {})


def _seconds(trainer: Trainer) -> dict[str, float]:
    record = _run_record(trainer)
    return {"seconds": record["time_elapsed"]["train"]} if record else {}
