from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from zoo.callbacks.metrics_file import METRICS_FILE_VARIABLE
from zoo.cli import main

FIT = ["fit", "--config", "softmax", "--data.num_train", "500", "--data.val_size", "500"]
FIT += ["--trainer.accelerator", "cpu"]


def written(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> list[dict[str, Any]]:
    """Train, and return the lines of the metrics file."""
    monkeypatch.setenv(METRICS_FILE_VARIABLE, "metrics.jsonl")
    Path("metrics.jsonl").unlink(missing_ok=True)
    assert main([*FIT, *arguments]) == 0
    return [json.loads(line) for line in Path("metrics.jsonl").read_text().splitlines()]


def test_a_run_writes_its_metrics_with_all_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    begin, *epochs, end, test = written(monkeypatch, "--trainer.max_epochs", "2")
    assert begin["machine"]["device"].startswith("CPU")
    assert "torch" in begin["versions"]
    with open("logs/softmax/version_0/metrics.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row.get("val_loss")]
    assert [line["epoch"] for line in epochs] == [0, 1]
    for name in ("val_loss", "val_acc"):
        assert [line[name] for line in epochs] == [float(row[name]) for row in rows]
    assert 0 < epochs[0]["seconds"] < epochs[1]["seconds"] <= end["seconds"]
    assert test["test_images"] == 10_000
    assert test["test_errors"] == pytest.approx(10_000 * (1 - test["test_acc"]), abs=0.5)
    assert test["tested_epoch"] is None

    again = written(monkeypatch, "--trainer.max_epochs", "3", "--ckpt_path", "last")
    assert [line["epoch"] for line in again if "epoch" in line] == [2]
    assert again[-2]["seconds"] > end["seconds"], "the time before a training was resumed counts"


def test_the_epoch_of_the_tested_network_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    best = ["--checkpoint.monitor", "val_loss", "--checkpoint.mode", "max"]  # the first epoch's loss is the largest
    lines = written(monkeypatch, "--trainer.max_epochs", "2", *best)
    losses = [line["val_loss"] for line in lines if "epoch" in line]
    assert losses[0] > losses[1]
    assert lines[-1]["tested_epoch"] == 0


def test_without_the_variable_nothing_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(METRICS_FILE_VARIABLE, raising=False)
    assert main([*FIT, "--trainer.max_epochs", "1"]) == 0
    assert list(Path().glob("*.jsonl")) == []
