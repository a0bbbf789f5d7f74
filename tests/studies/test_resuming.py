"""The training of a trial goes on where it ends with the weights that it would have had there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from zoo.callbacks.run_record import RunRecord
from zoo.cli import main
from zoo.runs.checkpoint import AtomicCheckpointIO, read_checkpoint
from zoo.studies.resuming import take_over
from zoo.utils.environment import gpu_names


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The checkpoint of a short training on a CPU."""
    folder = tmp_path_factory.mktemp("run")
    fit = ["fit", "--config", "softmax", "--trainer.max_epochs", "1", "--data.num_train", "300"]
    assert main([*fit, "--trainer.default_root_dir", str(folder)]) == 0
    loaded: dict[str, Any] = read_checkpoint(next(folder.rglob("last.ckpt")).resolve()).content
    return loaded


def nvidia_smi(folder: Path, names: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a machine have GPUs of these names, one a line."""
    folder.mkdir()
    (folder / "nvidia-smi").write_text(f"#!/bin/sh\necho '{names}'\n")
    (folder / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(folder))


@pytest.mark.parametrize(
    ("changed", "gpus", "goes_on"),
    [
        ({}, None, True),
        ({"processor": "another one"}, None, False),
        ({"device": "NVIDIA H200"}, "NVIDIA H200", True),
        ({"device": "NVIDIA H200"}, "NVIDIA H200\nNVIDIA H200", True),
        ({"device": "NVIDIA H200"}, "NVIDIA H100", False),
        ({"device": "NVIDIA H200"}, "NVIDIA H200\nNVIDIA A100", False),
        ({"device": "NVIDIA H200"}, None, False),
    ],
)
def test_a_training_goes_on_where_the_processor_and_the_gpu_are_the_same(
    content: dict[str, Any],
    changed: dict[str, str],
    gpus: str | None,
    goes_on: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record = content["callbacks"][RunRecord.__name__]
    found = {**content, "callbacks": {**content["callbacks"], RunRecord.__name__: {**record}}}
    found["callbacks"][RunRecord.__name__]["machine"] = {**record["machine"], **changed}
    (tmp_path / "trial/attempt-1").mkdir(parents=True)
    AtomicCheckpointIO().save_checkpoint(found, tmp_path / "trial/attempt-1/last.ckpt")
    if gpus is None:
        monkeypatch.setenv("PATH", "")
    else:
        nvidia_smi(tmp_path / "bin", gpus, monkeypatch)
    attempt, checkpoint = take_over(tmp_path / "trial", 2)
    assert attempt == tmp_path / "trial/attempt-2"
    assert (checkpoint is not None) == goes_on


def test_a_driver_that_fails_has_no_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nvidia_smi(tmp_path / "bin", "no devices'; exit 9; '", monkeypatch)
    assert gpu_names() == set()
