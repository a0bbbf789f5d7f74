"""A training that is interrupted and resumed ends with the weights of an uninterrupted one."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import start_zoo, weights
from zoo.cli import main

# Two epochs of ten steps. The network has the most state to restore: dropout, batch norm, Adam and a schedule.
NAME = "dropout_batchnorm"
SHORT = ["--trainer.accelerator", "cpu", "--data.num_train", "1000", "--trainer.max_epochs", "2"]
STOP_AFTER_TWO_EPOCHS = {"monitor": "val_loss", "min_delta": 100, "patience": 1}
STOP_EARLY = ["--trainer.callbacks", json.dumps({"class_path": "EarlyStopping", "init_args": STOP_AFTER_TWO_EPOCHS})]
FIT = ["fit", "--config", NAME, "--model.hidden_sizes", "[32, 32]", "--model.lr_schedule", "cosine", *SHORT]


def last_checkpoint(version: int, name: str = NAME) -> Path:
    return Path(f"logs/{name}/version_{version}/checkpoints/last.ckpt")


def signal_at(step: int, number: int = signal.SIGTERM) -> list[str]:
    return ["--trainer.callbacks", f'{{"class_path": "tests.helpers.SignalAt", "init_args": {{"step": {step}, '
            f'"signal": {int(number)}}}}}']  # fmt: skip


def logged_metrics(version: int) -> list[dict[str, Any]]:
    with Path(f"logs/{NAME}/version_{version}/metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("step", [10, 11, *(pytest.param(step, marks=pytest.mark.slow) for step in (1, 4, 17))])
def test_a_signal_stops_after_the_current_step_and_training_resumes_exactly(
    step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(FIT) == 0
    assert main([*FIT, *signal_at(step)]) == 143
    error_output = capsys.readouterr().err
    assert f"Stopped in epoch {1 + (step > 10)} after step {step}; its state is saved in" in error_output
    assert "--ckpt_path last" in error_output
    assert last_checkpoint(1).exists() == (step >= 10)  # the end of an epoch is saved as usual
    torch.manual_seed(12345)  # the RNG state in between must not matter
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    assert f"step {step})" in capsys.readouterr().out
    assert weights(last_checkpoint(2)) == weights(last_checkpoint(0))
    # The loss of the epoch includes the batches before the interruption.
    assert logged_metrics(2)[-1] == logged_metrics(0)[-1]
    assert [row for row in logged_metrics(0) if row["epoch"] == "1"] == [
        row for row in logged_metrics(2) if row["epoch"] == "1"
    ]


def test_sigint_stops_training_with_status_130(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, *signal_at(3, signal.SIGINT)]) == 130
    assert "Ctrl-C from now on" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):  # the previous handler is restored
        os.kill(os.getpid(), signal.SIGINT)


def test_a_second_signal_interrupts_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    callbacks = [*signal_at(3, signal.SIGINT), "--trainer.callbacks+", signal_at(3, signal.SIGINT)[1]]
    assert main([*FIT, *callbacks]) == 130
    assert "zoo: interrupted" in capsys.readouterr().err


def test_training_stops_one_step_later_if_the_epoch_is_not_saved() -> None:
    every_second_epoch = ["--checkpoint.every_n_epochs", "2"]
    main([*FIT, *every_second_epoch])
    assert main([*FIT, *every_second_epoch, *signal_at(10)]) == 143
    assert last_checkpoint(1).parent.joinpath("interrupted-epoch=1-step=11.ckpt").is_file()
    assert main([*FIT, *every_second_epoch, "--ckpt_path", "last"]) == 0
    assert weights(last_checkpoint(2)) == weights(last_checkpoint(0))


@pytest.mark.parametrize("every", [pytest.param(3, marks=pytest.mark.slow), 10])
def test_training_resumes_exactly_from_checkpoints_within_an_epoch(every: int) -> None:
    main(FIT)
    main([*FIT, "--checkpoint.every_n_train_steps", str(every), "--checkpoint.save_top_k", "-1"])
    for path in sorted(last_checkpoint(1).parent.glob("epoch=*.ckpt")):
        version = len(list(Path(f"logs/{NAME}").iterdir()))
        assert main([*FIT, "--ckpt_path", str(path)]) == 0
        if "step=20" not in path.name:  # after the last step, no training is left and nothing is saved
            assert weights(last_checkpoint(version)) == weights(last_checkpoint(0))


def test_the_last_step_is_saved_even_if_it_is_not_a_multiple_of_the_interval() -> None:
    main([*FIT, "--checkpoint.every_n_train_steps", "7"])
    assert last_checkpoint(0).resolve().name.endswith("-step=20.ckpt")
    main(FIT)
    assert weights(last_checkpoint(0)) == weights(last_checkpoint(1))


@pytest.mark.parametrize(
    ("settings", "steps"),
    [
        (["--trainer.max_epochs", "-1", "--trainer.max_steps", "17"], [13, 17]),
        (["--trainer.max_epochs", "5", *STOP_EARLY], [13, 20]),
        (["--trainer.max_epochs", "5", "--trainer.min_epochs", "3", *STOP_EARLY], [13, 26, 30]),
    ],
)
def test_the_last_step_is_saved_however_a_training_ends(settings: list[str], steps: list[int]) -> None:
    every = ["--checkpoint.every_n_train_steps", "13", "--checkpoint.save_top_k", "-1"]
    assert main([*FIT, "--model.lr_schedule", "constant", *every, *settings]) == 0
    saved = last_checkpoint(0).parent.glob("epoch=*.ckpt")
    assert sorted(int(path.stem.split("step=")[1]) for path in saved) == steps
    assert torch.load(last_checkpoint(0), weights_only=True)["global_step"] == steps[-1]


def test_a_training_with_max_steps_resumes_exactly() -> None:
    max_steps = ["--trainer.max_epochs", "-1", "--trainer.max_steps", "23", "--model.lr_schedule", "constant"]
    main([*FIT, *max_steps])
    assert main([*FIT, *max_steps, *signal_at(14)]) == 143
    assert main([*FIT, *max_steps, "--ckpt_path", "last"]) == 0
    assert weights(last_checkpoint(2)) == weights(last_checkpoint(0))


def test_accumulated_gradients_are_not_lost() -> None:
    accumulate = ["--trainer.accumulate_grad_batches", "4"]
    main([*FIT, *accumulate])
    assert main([*FIT, *accumulate, *signal_at(2)]) == 143
    assert main([*FIT, *accumulate, "--ckpt_path", "last"]) == 0
    assert weights(last_checkpoint(2)) == weights(last_checkpoint(0))


def test_ckpt_path_last_selects_a_run_of_the_same_config_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--ckpt_path", "last"]) == 2
    assert "There is no checkpoint of this config and seed" in capsys.readouterr().err
    main(FIT)
    main([*FIT, "--seed_everything", "1"])
    main([*FIT, "--model.lr", "0.01"])
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    assert "Going on from logs/dropout_batchnorm/version_0/" in capsys.readouterr().out
    assert main([*FIT, "--ckpt_path", "last", "--seed_everything", "2"]) == 2
    assert "has seed_everything 1, and this one has 2)" in capsys.readouterr().err
    assert main(["test", *FIT[1:-6], "--ckpt_path", "last"]) == 2  # another num_train, so another training


def test_the_refusal_names_what_differs_from_the_closest_run(capsys: pytest.CaptureFixture[str]) -> None:
    main(FIT)
    main([*FIT, "--model.weight_init", "zeros", "--model.l2", "0.1"])
    assert main([*FIT, "--model.lr", "0.5", "--ckpt_path", "last"]) == 2
    assert "(version_0 has model.init_args.lr 0.001, and this one has 0.5)" in capsys.readouterr().err


def test_a_damaged_newest_checkpoint_is_skipped(capsys: pytest.CaptureFixture[str]) -> None:
    main(FIT)
    newest = last_checkpoint(0).resolve()
    assert newest.name == "epoch=1-step=20.ckpt"
    expected = weights(newest)
    newest.write_bytes(newest.read_bytes()[:1000])
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    written = capsys.readouterr()
    assert "epoch=1-step=20.ckpt is damaged" in written.err
    assert "Going on from logs/dropout_batchnorm/version_0/checkpoints/epoch=0-step=10.ckpt" in written.out
    assert weights(last_checkpoint(1)) == expected


def test_a_failed_checkpoint_write_keeps_the_earlier_checkpoints(capsys: pytest.CaptureFixture[str]) -> None:
    fit = [*FIT, "--model.lr_schedule", "constant"]
    main([*fit, "--trainer.max_epochs", "1"])
    before = weights(last_checkpoint(0))
    size = last_checkpoint(0).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        assert main([*fit, "--ckpt_path", "last"]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    error_output = capsys.readouterr().err
    assert error_output.startswith("zoo: Cannot write ")
    assert error_output.count("\n") == 1
    assert weights(last_checkpoint(0)) == before
    assert not list(Path().rglob("*.tmp"))
    assert main([*fit, "--ckpt_path", "last"]) == 0


def test_a_nan_loss_stops_training_and_names_the_last_good_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    broken = '{"class_path": "tests.helpers.BreakWeightsAt", "init_args": {"step": 14}}'
    assert main([*FIT, "--trainer.callbacks", broken]) == 2
    error_output = capsys.readouterr().err
    assert "The loss is nan at step 14 (epoch 2)" in error_output
    good = error_output.split("the last good checkpoint is ")[1].strip(" .\n")
    assert good.endswith("epoch=0-step=10.ckpt")
    assert main([*FIT, "--ckpt_path", good]) == 0


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--data.batch_size", "50"], "was trained with data.init_args.batch_size 100, but the config says 50"),
        (["--seed_everything", "1"], "was trained with seed_everything 0, but the config says 1"),
        (["--trainer.precision", "64-true"], "was trained with trainer.precision None, but the config says '64-true'"),
        (["--trainer.max_epochs", "3"], "cosine was made for a training of another length"),
    ],
)
def test_resuming_with_other_settings_is_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(FIT)
    assert main([*FIT, "--ckpt_path", str(last_checkpoint(0)), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_the_best_checkpoint_is_restored() -> None:
    # With mode "min" the worst network is the "best" one, which is that of the first epoch.
    best = ["--checkpoint.monitor", "val_acc", "--checkpoint.mode", "min", "--checkpoint.save_top_k", "1"]
    main([*FIT, *best, "--trainer.max_epochs", "4"])
    assert main([*FIT, *best, "--trainer.max_epochs", "4", *signal_at(25)]) == 143
    assert main([*FIT, *best, "--trainer.max_epochs", "4", "--ckpt_path", "last"]) == 0
    kept = [path.name for path in last_checkpoint(1).parent.glob("epoch=*.ckpt")]
    assert kept == [path.name for path in last_checkpoint(0).parent.glob("epoch=*.ckpt")] == ["epoch=0-step=10.ckpt"]
    assert not list(last_checkpoint(2).parent.glob("epoch=*.ckpt"))
    assert logged_metrics(2)[-1]["test_errors"] == logged_metrics(0)[-1]["test_errors"]


def test_max_time_ends_training() -> None:
    max_time = ["--trainer.max_epochs", "-1", "--trainer.max_time", "00:00:00:01", "--model.lr_schedule", "constant"]
    assert main([*FIT, *max_time]) == 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("delay", [0.3, *(pytest.param(delay, marks=pytest.mark.slow) for delay in (0.6, 0.9))])
def test_training_resumes_exactly_after_its_process_was_killed(delay: float) -> None:
    """A short version of `python -m tests.kill`."""
    epochs = round(100 * delay)  # so many that a fast processor is still training
    arguments = [*FIT, "--trainer.max_epochs", str(epochs), "--checkpoint.every_n_train_steps", "7"]
    main(arguments)
    process = start_zoo(*arguments)
    folder = last_checkpoint(1).parent
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.ckpt"))) < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(delay)
    process.kill()
    process.communicate()
    assert main([*arguments, "--ckpt_path", "last"]) == 0
    assert weights(last_checkpoint(2)) == weights(last_checkpoint(0))
