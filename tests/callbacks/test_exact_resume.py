"""Whatever interrupts a training, it ends with the weights of one that was not interrupted."""

from __future__ import annotations

import csv
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

# Two epochs of ten steps, of the member with most that could go wrong: dropout, batch norm, Adam, a schedule.
NAME = "dropout_batchnorm"
SHORT = ["--trainer.accelerator", "cpu", "--data.num_train", "1000", "--trainer.max_epochs", "2"]
FIT = ["fit", "--config", NAME, "--model.hidden_sizes", "[32, 32]", "--model.lr_schedule", "cosine", *SHORT]


def last(version: int, name: str = NAME) -> Path:
    return Path(f"logs/{name}/version_{version}/checkpoints/last.ckpt")


def signal_at(step: int, number: int = signal.SIGTERM) -> list[str]:
    return ["--trainer.callbacks", f'{{"class_path": "tests.helpers.SignalAt", "init_args": {{"step": {step}, '
            f'"signal": {int(number)}}}}}']  # fmt: skip


def logged(version: int) -> list[dict[str, Any]]:
    with Path(f"logs/{NAME}/version_{version}/metrics.csv").open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("step", [1, 4, 10, 11, 17])
def test_a_signal_stops_after_the_step_and_the_training_goes_on_exactly(
    step: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(FIT) == 0
    assert main([*FIT, *signal_at(step)]) == 143
    complaint = capsys.readouterr().err
    assert f"Stopped in epoch {1 + (step > 10)} after step {step}; its state is saved in" in complaint
    assert "--ckpt_path last" in complaint
    assert last(1).exists() == (step >= 10)  # the end of an epoch is saved as ever
    torch.manual_seed(12345)  # nothing that happened in between may matter
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    assert f"step {step})" in capsys.readouterr().out
    assert weights(last(2)) == weights(last(0))
    # The epoch's cost counts the batches before the interruption too.
    assert logged(2)[-1] == logged(0)[-1]
    assert [row for row in logged(0) if row["epoch"] == "1"] == [row for row in logged(2) if row["epoch"] == "1"]


def test_ctrl_c_is_a_signal_like_the_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, *signal_at(3, signal.SIGINT)]) == 130
    assert "Ctrl-C from now on" in capsys.readouterr().err
    with pytest.raises(KeyboardInterrupt):  # the signal's own handler is back
        os.kill(os.getpid(), signal.SIGINT)


def test_a_second_signal_interrupts_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    callbacks = [*signal_at(3, signal.SIGINT), "--trainer.callbacks+", signal_at(3, signal.SIGINT)[1]]
    assert main([*FIT, *callbacks]) == 130
    assert "zoo: interrupted" in capsys.readouterr().err


def test_an_epoch_that_is_not_saved_is_not_where_to_stop() -> None:
    seldom = ["--checkpoint.every_n_epochs", "2"]
    main([*FIT, *seldom])
    assert main([*FIT, *seldom, *signal_at(10)]) == 143
    assert last(1).parent.joinpath("interrupted-epoch=1-step=11.ckpt").is_file()
    assert main([*FIT, *seldom, "--ckpt_path", "last"]) == 0
    assert weights(last(2)) == weights(last(0))


@pytest.mark.parametrize("every", [3, 10])
def test_checkpoints_within_an_epoch_go_on_exactly(every: int) -> None:
    main(FIT)
    main([*FIT, "--checkpoint.every_n_train_steps", str(every), "--checkpoint.save_top_k", "-1"])
    for path in sorted(last(1).parent.glob("epoch=*.ckpt")):
        version = len(list(Path(f"logs/{NAME}").iterdir()))
        assert main([*FIT, "--ckpt_path", str(path)]) == 0
        if "step=20" not in path.name:  # where nothing is left to train
            assert weights(last(version)) == weights(last(0))


def test_the_network_that_a_training_ends_with_is_kept() -> None:
    main([*FIT, "--checkpoint.every_n_train_steps", "7"])
    assert last(0).resolve().name.endswith("-step=20.ckpt")
    main(FIT)
    assert weights(last(0)) == weights(last(1))


def test_a_training_by_steps_goes_on_exactly() -> None:
    by_steps = ["--trainer.max_epochs", "-1", "--trainer.max_steps", "23", "--model.lr_schedule", "constant"]
    main([*FIT, *by_steps])
    assert main([*FIT, *by_steps, *signal_at(14)]) == 143
    assert main([*FIT, *by_steps, "--ckpt_path", "last"]) == 0
    assert weights(last(2)) == weights(last(0))


def test_gradients_that_are_being_accumulated_are_not_lost() -> None:
    accumulate = ["--trainer.accumulate_grad_batches", "4"]
    main([*FIT, *accumulate])
    assert main([*FIT, *accumulate, *signal_at(2)]) == 143
    assert main([*FIT, *accumulate, "--ckpt_path", "last"]) == 0
    assert weights(last(2)) == weights(last(0))


def test_last_is_of_this_config_and_seed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--ckpt_path", "last"]) == 2
    assert "There is no checkpoint of this config and seed" in capsys.readouterr().err
    main(FIT)
    main([*FIT, "--seed_everything", "1"])
    main([*FIT, "--model.lr", "0.01"])
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    assert "Going on from logs/dropout_batchnorm/version_0/" in capsys.readouterr().out
    assert main([*FIT, "--ckpt_path", "last", "--seed_everything", "2"]) == 2
    assert main(["test", *FIT[1:-6], "--ckpt_path", "last"]) == 2  # the whole training set is another training


def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(capsys: pytest.CaptureFixture[str]) -> None:
    main(FIT)
    newest = last(0).resolve()
    assert newest.name == "epoch=1-step=20.ckpt"
    whole = weights(newest)
    newest.write_bytes(newest.read_bytes()[:1000])
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    written = capsys.readouterr()
    assert "epoch=1-step=20.ckpt is damaged" in written.err
    assert "Going on from logs/dropout_batchnorm/version_0/checkpoints/epoch=0-step=10.ckpt" in written.out
    assert weights(last(1)) == whole


def test_a_checkpoint_that_does_not_fit_on_the_disk_harms_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    fit = [*FIT, "--model.lr_schedule", "constant"]
    main([*fit, "--trainer.max_epochs", "1"])
    before = weights(last(0))
    size = last(0).stat().st_size
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size // 2, hard))
    try:
        assert main([*fit, "--ckpt_path", "last"]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    complaint = capsys.readouterr().err
    assert complaint.startswith("zoo: Cannot write ")
    assert complaint.count("\n") == 1
    assert weights(last(0)) == before
    assert not list(Path().rglob("*.tmp"))
    assert main([*fit, "--ckpt_path", "last"]) == 0


def test_a_loss_that_is_no_number_stops_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    broken = '{"class_path": "tests.helpers.BreakWeightsAt", "init_args": {"step": 14}}'
    assert main([*FIT, "--trainer.callbacks", broken]) == 2
    complaint = capsys.readouterr().err
    assert "The loss is nan at step 14 (epoch 2)" in complaint
    good = complaint.split("the last good checkpoint is ")[1].strip(" .\n")
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
def test_a_training_goes_on_as_it_began(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    main(FIT)
    assert main([*FIT, "--ckpt_path", str(last(0)), *arguments]) == 2
    assert sentence in capsys.readouterr().err


def test_the_best_network_is_remembered() -> None:
    best = ["--checkpoint.monitor", "val_acc", "--checkpoint.mode", "min", "--checkpoint.save_top_k", "1"]
    main([*FIT, *best, "--trainer.max_epochs", "4"])  # the worst network, which is the first epoch's
    assert main([*FIT, *best, "--trainer.max_epochs", "4", *signal_at(25)]) == 143
    assert main([*FIT, *best, "--trainer.max_epochs", "4", "--ckpt_path", "last"]) == 0
    kept = [path.name for path in last(1).parent.glob("epoch=*.ckpt")]
    assert kept == [path.name for path in last(0).parent.glob("epoch=*.ckpt")] == ["epoch=0-step=10.ckpt"]
    assert not list(last(2).parent.glob("epoch=*.ckpt"))
    assert logged(2)[-1]["test_errors"] == logged(0)[-1]["test_errors"]


def test_a_training_by_time_ends() -> None:
    by_time = ["--trainer.max_epochs", "-1", "--trainer.max_time", "00:00:00:01", "--model.lr_schedule", "constant"]
    assert main([*FIT, *by_time]) == 0


@pytest.mark.timeout(600)
@pytest.mark.parametrize("share", [0.3, *(pytest.param(share, marks=pytest.mark.slow) for share in (0.6, 0.9))])
def test_a_killed_process_goes_on_exactly(share: float) -> None:
    """The kill test in small; `python -m tests.kill` is the whole one."""
    arguments = [*FIT, "--trainer.max_epochs", "30", "--checkpoint.every_n_train_steps", "7"]
    main(arguments)
    process = start_zoo(*arguments)
    folder = last(1).parent
    deadline = time.monotonic() + 60
    while len(list(folder.glob("*.ckpt"))) < 1 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(share)
    process.kill()
    process.communicate()
    assert main([*arguments, "--ckpt_path", "last"]) == 0
    assert weights(last(2)) == weights(last(0))
