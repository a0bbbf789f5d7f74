from __future__ import annotations

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zoo.cli.verbs.trainer import fit

FIT = ["--config", "softmax", "--data.num_train", "200", "--data.val_size", "100", "--trainer.max_epochs", "2"]


def test_tensorboard_compares_runs_by_their_last_metrics() -> None:
    metrics = fit([*FIT, "--trainer.accelerator", "cpu"])
    events = EventAccumulator("logs/softmax/version_0")
    events.Reload()
    scalars = events.Tags()["scalars"]
    assert "hp_metric" not in scalars
    assert {"final/val_acc", "final/val_loss", "final/test_acc", "final/test_errors"} <= set(scalars)
    (last,) = events.Scalars("final/test_errors")
    assert (last.step, last.value) == (4, metrics["test_errors"])
    assert events.Scalars("val_acc")[-1].value == pytest.approx(events.Scalars("final/val_acc")[0].value)
    (compared,) = (data for data in [events.SummaryMetadata("_hparams_/experiment")])
    assert b"final/test_acc" in compared.plugin_data.content
    start = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    assert b"seed_everything" in start
    assert b"max_epochs" in start
    assert len(list(Path("logs/softmax").iterdir())) == 1
