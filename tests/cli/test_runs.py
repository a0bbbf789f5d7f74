"""A run has a folder of its own, and can be tested and resumed wherever its parts are."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from pytorch_lightning.loggers import Logger

from tests.helpers import error_output, errors, start_zoo, weights
from zoo.callbacks.checkpointing import LastStepCheckpoint
from zoo.cli import main
from zoo.runs.folders import checkpoints_in
from zoo.runs.run import Run, runs_in

# Two epochs of ten steps.
FIT = ["fit", "--config", "softmax", "--trainer.accelerator", "cpu", "--data.num_train", "1000"]
FIT += ["--trainer.max_epochs", "2"]
RUNS = Path("logs/softmax")


def callback(name: str, **arguments: Any) -> list[str]:
    return ["--trainer.callbacks+", json.dumps({"class_path": name, "init_args": arguments})]


SIGNAL = callback("tests.helpers.SignalAt", step=13, signal=int(signal.SIGTERM))


def run_printed_test(output: str) -> list[str]:
    """Return the words of the command that a training printed."""
    printed = re.search(r"Test it: +zoo (.*)", output)
    assert printed
    return shlex.split(printed[1])


class OwnLogger(Logger):
    """A logger that has no folder, as those that send to a server have none."""

    @property
    def name(self) -> str:
        return "own"

    @property
    def version(self) -> str:
        return "1"

    def log_hyperparams(self, *args: Any, **kwargs: Any) -> None: ...

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...


PLACES = {
    "a logger in another folder": ["--trainer.logger", json.dumps(
        {"class_path": "TensorBoardLogger", "init_args": {"save_dir": "runs", "name": "mine"}})],
    "a logger without a folder": ["--trainer.logger", "tests.cli.test_runs.OwnLogger"],
    "no logger": ["--trainer.logger", "false"],
    "checkpoints elsewhere": ["--checkpoint.dirpath", "elsewhere"],
    "a second callback that saves elsewhere": callback(
        "ModelCheckpoint", dirpath="elsewhere", monitor="val_acc", mode="max"),
    "another root": ["--trainer.default_root_dir", "root"],
    "callbacks that watch": [*callback("EarlyStopping", monitor="val_loss", patience=3),
                             *callback("LearningRateMonitor"),
                             *callback("ModelCheckpoint", monitor="val_acc", mode="max")],
    "a callback with an enumeration as default": callback("Timer", duration="00:01:00:00"),
    "a callback that saves on errors": callback("OnExceptionCheckpoint", dirpath="elsewhere"),
}  # fmt: skip
SLOW = ("no logger", "checkpoints elsewhere", "another root", "a callback with an enumeration as default")


@pytest.mark.parametrize(
    "place", [pytest.param(place, marks=[pytest.mark.slow] if place in SLOW else []) for place in PLACES]
)
def test_a_run_is_resumed_and_tested_wherever_its_parts_are(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    fit = [*FIT, *PLACES[place]]
    root = Path("root/softmax") if "root" in place else RUNS
    assert main(fit) == 0
    uninterrupted = weights(next(path for path in checkpoints_in(Path()) if "step=20" in path.name))
    assert main([*fit, *SIGNAL]) == 143
    assert "--ckpt_path last goes on from there" in capsys.readouterr().err
    assert main([*fit, "--ckpt_path", "last"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"Going on from .*step=13.ckpt \(epoch 2, step 13\)", output)
    words = run_printed_test(output)
    assert weights(words[-1]) == uninterrupted
    assert main(words) == 0
    assert errors(capsys.readouterr().out) == errors(output)
    configs = [yaml.safe_load((run.folder / "config.yaml").read_text()) for run in runs_in(root)]
    assert len(configs) == 3
    assert configs[0]["ckpt_path"].endswith("step=13.ckpt")


@pytest.mark.slow
def test_a_run_is_resumed_and_tested_where_there_are_no_links(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("no links here")

    monkeypatch.setattr(os, "symlink", refuse)
    monkeypatch.setattr(os, "link", refuse)
    assert main([*FIT, *SIGNAL]) == 143
    capsys.readouterr()
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    output = capsys.readouterr().out
    assert re.search(r"Going on from .*\(epoch 2, step 13\)", output)
    last = RUNS / "version_1/checkpoints/last.ckpt"
    assert last.is_file()
    assert not last.is_symlink()
    words = run_printed_test(output)
    assert weights(words[-1]) == weights(last)
    assert main(words) == 0
    assert errors(capsys.readouterr().out) == errors(output)


@pytest.mark.parametrize("off", [["--trainer.fast_dev_run", "true"], ["--trainer.enable_checkpointing", "false"]])
def test_a_config_with_callbacks_works_where_nothing_is_saved(off: list[str]) -> None:
    assert main([*FIT, *PLACES["callbacks that watch"], *off]) == 0
    assert not list(Path().rglob("*.ckpt"))


@pytest.mark.parametrize(
    "changer",
    [
        callback("StochasticWeightAveraging", swa_lrs=0.01, swa_epoch_start=1),
        callback("EMAWeightAveraging", decay=0.9),
        callback("ModelPruning", pruning_fn="l1_unstructured", amount=0.3),
        pytest.param(
            [
                *callback("StochasticWeightAveraging", swa_lrs=0.01, swa_epoch_start=1),
                "--checkpoint.monitor",
                "val_acc",
            ],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_the_file_that_a_training_names_gives_what_the_training_printed(
    changer: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*FIT, *changer]) == 0
    output = capsys.readouterr().out
    assert main(run_printed_test(output)) == 0
    assert errors(capsys.readouterr().out) == errors(output)


def test_averaged_weights_do_not_replace_those_that_the_training_goes_on_with() -> None:
    averaging = callback("StochasticWeightAveraging", swa_lrs=0.01, swa_epoch_start=1)
    main([*FIT, *averaging])
    folder = RUNS / "version_0/checkpoints"
    assert weights(folder / "trained-epoch=1-step=20.ckpt") != weights(folder / "epoch=1-step=20.ckpt")
    assert "optimizer_states" not in torch.load(folder / "trained-epoch=1-step=20.ckpt", weights_only=True)


def test_a_run_with_callbacks_that_shape_it_is_another_run(capsys: pytest.CaptureFixture[str]) -> None:
    pruning = callback("ModelPruning", pruning_fn="l1_unstructured", amount=0.3)
    main([*FIT, *pruning, *SIGNAL])
    assert main([*FIT, "--ckpt_path", "last"]) == 2
    [path] = RUNS.rglob("interrupted*.ckpt")
    assert main([*FIT, "--ckpt_path", str(path)]) == 2
    assert "was trained with callbacks.ModelPruning." in capsys.readouterr().err


def test_a_callback_of_ones_own_that_is_missing_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    main([*FIT, *SIGNAL])
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    assert "was trained with the callbacks tests.helpers.SignalAt of your own" in capsys.readouterr().err


def test_a_training_with_a_drawn_seed_says_how_it_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--seed_everything", "true", *SIGNAL]) == 143
    printed = re.search(r"the same command with (.*) goes on", capsys.readouterr().err)
    assert printed
    words = printed[1].split()
    assert words[0] == "--seed_everything"
    assert main([*FIT, *words]) == 0
    assert "(epoch 2, step 13)" in capsys.readouterr().out


def test_last_goes_by_steps_and_not_by_the_clock(capsys: pytest.CaptureFixture[str]) -> None:
    main(FIT)
    for age, path in enumerate(checkpoints_in(RUNS)):
        os.utime(path, (1e9 + age, 1e9 + age))  # the furthest is the oldest
    main([*FIT, "--ckpt_path", "last"])
    assert "epoch=1-step=20.ckpt (epoch 2, step 20)" in capsys.readouterr().out


def test_two_runs_that_save_in_one_folder_are_kept_apart(capsys: pytest.CaptureFixture[str]) -> None:
    shared = [*FIT, "--checkpoint.dirpath", "shared"]
    main(shared)
    assert main([*shared, "--trainer.max_epochs", "1"]) == 0
    capsys.readouterr()
    assert main([*shared, "--ckpt_path", "last"]) == 0  # of the newest run, whose last step is the tenth
    assert "epoch=0-step=10" in capsys.readouterr().out


def test_a_diverged_checkpoint_is_passed_over(capsys: pytest.CaptureFixture[str]) -> None:
    saving = callback("OnExceptionCheckpoint", dirpath="elsewhere")
    assert main([*FIT, *saving, *callback("tests.helpers.BreakWeightsAt", step=14)]) == 2
    assert main([*FIT, *saving, "--ckpt_path", "last"]) == 0
    captured = capsys.readouterr()
    assert "numbers that are not finite. Looking for the one before" in captured.err
    assert "(epoch 1, step 10)" in captured.out


def test_the_last_good_checkpoint_of_a_resumed_training_is_the_one_that_it_began_with(
    capsys: pytest.CaptureFixture[str],
) -> None:
    main([*FIT, *SIGNAL])
    assert main([*FIT, "--ckpt_path", "last", *callback("tests.helpers.BreakWeightsAt", step=15)]) == 2
    assert "the last good checkpoint is logs/softmax/version_0/checkpoints/interrupted" in capsys.readouterr().err


@pytest.mark.parametrize(
    "monitor", [["--checkpoint.monitor", "val_los"], callback("EarlyStopping", monitor="validation_loss")]
)
def test_a_wrong_monitor_is_found_before_the_first_step(monitor: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean val_loss" in error_output([*FIT, *monitor], capsys)


@pytest.mark.parametrize(
    ("monitor", "mode"), [("val_loss", "min"), ("val_acc", "max"), ("val_reconstruction_error", "min"), ("step", "max")]
)
def test_the_best_is_what_is_better_in_the_metric(monitor: str, mode: Any) -> None:
    assert LastStepCheckpoint(monitor=monitor).mode == mode
    assert LastStepCheckpoint(monitor=monitor, mode="min").mode == "min"


def test_the_network_with_the_least_loss_is_kept(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--trainer.max_epochs", "3", "--checkpoint.monitor", "val_loss", "--checkpoint.save_top_k", "1"]
    assert main([*FIT, *words]) == 0
    losses = [float(found) for found in re.findall(r"val_loss (\S+)", capsys.readouterr().out)]
    (kept,) = (RUNS / "version_0/checkpoints").glob("epoch=*")
    assert len(losses) == 3
    assert kept.name.startswith(f"epoch={losses.index(min(losses))}-")


@pytest.mark.parametrize("name", ["EarlyStopping", "ModelCheckpoint"])
def test_a_callback_that_would_keep_the_worst_is_refused(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "set its mode to max" in error_output([*FIT, *callback(name, monitor="val_acc")], capsys)
    assert "set its mode to min" in error_output([*FIT, *callback(name, monitor="val_loss", mode="max")], capsys)


def test_a_training_that_is_longer_already_is_not_resumed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--trainer.max_epochs", "2"]) == 0
    resumed = error_output([*FIT, "--trainer.max_epochs", "1", "--ckpt_path", "last"], capsys)
    assert "at the end of 2 epochs already, and trainer.max_epochs is 1: raise it to go on" in resumed


def test_a_negative_patience_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    stopping = callback("EarlyStopping", monitor="val_loss", patience=-1)
    assert "patience is -1, but it must be 0 or more" in error_output([*FIT, *stopping], capsys)


def test_validation_metrics_are_unknown_without_validation(capsys: pytest.CaptureFixture[str]) -> None:
    assert "val_acc" in error_output([*FIT, "--data.val_size", "0", "--checkpoint.monitor", "val_acc"], capsys)


def test_a_run_that_fails_leaves_what_is_not_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    Run.claim(RUNS).remove_if_empty()
    assert not Path("logs").exists()
    run = Run.claim(RUNS)
    (run.folder / "notes.txt").write_text("mine")
    run.remove_if_empty()
    assert (run.folder / "notes.txt").read_text() == "mine"


def test_runs_that_begin_at_the_same_moment_have_folders_of_their_own() -> None:
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(Run.claim(RUNS).folder)) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(folders) == sorted(RUNS / f"version_{number}" for number in range(40))


def test_temporary_files_of_dead_processes_are_removed_at_the_next_start() -> None:
    main(FIT)
    folder = RUNS / "version_0/checkpoints"
    script = "import sys, os; from pathlib import Path; from zoo.utils.files import atomic_path\n"
    script += "with atomic_path(Path(sys.argv[1])) as path: path.write_bytes(b'half'); os._exit(0)"
    subprocess.run([sys.executable, "-c", script, str(folder / "epoch=9.ckpt")], check=True)
    [abandoned] = folder.glob(".*.tmp")
    others = [folder / name for name in (".notes.tmp", f".{abandoned.name[1:]}".replace("epoch=9", "epoch=8"))]
    others[1] = others[1].with_name(re.sub(r"\.\d+\.([0-9a-f]{8})", rf".{os.getpid()}.\1", others[1].name))
    for path in others:  # a user's own, and one of a process that lives
        path.write_text("keep")
    main(FIT)
    assert not abandoned.exists()
    assert all(path.read_text() == "keep" for path in others)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_twenty_trainings_started_at_once() -> None:
    processes = [start_zoo(*FIT, "--seed_everything", str(seed)) for seed in range(20)]
    for process in processes:
        _, error = process.communicate()
        assert process.returncode == 0, error
        assert "Traceback" not in error
    runs = runs_in(RUNS)
    assert [run.folder.name for run in runs] == [f"version_{number}" for number in reversed(range(20))]
    assert {run.config["seed_everything"] for run in runs if run.config} == set(range(20))
    assert all(len(checkpoints_in(run.folder)) == 2 for run in runs)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_benchmark_that_is_stopped_stops_its_trainings() -> None:
    process = start_zoo("bench", "softmax", "--rounds", "1", "--whole", "1")
    children: list[int] = []
    deadline = time.monotonic() + 60
    while not children and time.monotonic() < deadline:
        time.sleep(0.2)
        children = children_of(process.pid)
    assert children
    process.terminate()
    process.communicate()
    assert process.returncode == 143
    deadline = time.monotonic() + 20
    while any(Path(f"/proc/{child}").exists() for child in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def children_of(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]
