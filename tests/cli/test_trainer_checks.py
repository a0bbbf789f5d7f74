"""Settings of the Trainer that would silently do nothing are refused before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import error_output
from zoo.cli import main

FIT = [
    "fit",
    "--config",
    "softmax",
    "--data.num_train",
    "200",
    "--data.val_size",
    "100",
    "--trainer.accelerator",
    "cpu",
]


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *[("max_time", value) for value in ("00:00:00:00", "00:00:00:-1", "{seconds: 0}", "{hours: -5}", "soon", "1")],
        *[("max_time", value) for value in ("{minutes: .nan}", "{hours: 1e400}", "{years: 1}", "{days: many}")],
        *[("gradient_clip_val", value) for value in ("-1", "0", ".nan", ".inf")],
        ("gradient_clip_algorithm", "norm"),
        ("val_check_interval", "00:00:00:00"),
        ("min_epochs", "-1"),
        ("min_epochs", "100"),
        ("min_steps", "-1"),
        ("num_sanity_val_steps", "-5"),
    ],
)
def test_a_setting_without_effect_is_refused(setting: str, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("odd.yaml").write_text(f"trainer:\n  {setting}: {value}\n")  # where a mapping is one
    assert f"trainer.{setting}" in error_output([*FIT, "--config", "odd.yaml"], capsys)


@pytest.mark.parametrize("interval", ["00:00:00:00", "00:00:00:-5"])
def test_checkpoints_in_no_time_are_refused(interval: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "must be more than 0" in error_output([*FIT, "--checkpoint.train_time_interval", interval], capsys)


@pytest.mark.parametrize("max_time", ["00:00:05:00", "{minutes: 5}"])
def test_settings_that_have_an_effect_are_taken(max_time: str) -> None:
    clipping = ["--trainer.gradient_clip_val", "0.5", "--trainer.gradient_clip_algorithm", "norm"]
    Path("time.yaml").write_text(f"trainer:\n  max_time: {max_time}\n")
    assert (
        main([*FIT, "--config", "time.yaml", *clipping, "--trainer.max_epochs", "2", "--trainer.min_epochs", "1"]) == 0
    )


def test_early_stopping_leaves_a_training_alone_that_ends_before_its_first_validation() -> None:
    stop = "{class_path: EarlyStopping, init_args: {monitor: val_loss}}"
    assert main([*FIT, "--data.batch_size", "50", "--trainer.max_steps", "2", "--trainer.callbacks", stop]) == 0
    assert list(Path("logs/softmax/version_0/checkpoints").glob("*step=2.ckpt"))


@pytest.mark.parametrize(
    "strategy",
    ["fsdp_cpu_offload", "{class_path: pytorch_lightning.strategies.FSDPStrategy}"],
)
def test_strategies_that_split_a_network_are_refused(strategy: str, capsys: pytest.CaptureFixture[str]) -> None:
    message = error_output([*FIT, "--trainer.strategy", strategy], capsys)
    assert "splits a network that is too large for one device" in message
    assert "take ddp" in message
