"""A training that ended several times, in several ways, ends with the state of an uninterrupted one."""

from __future__ import annotations

import csv
import random
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.helpers import weights
from zoo.cli import main

# Three epochs of four steps.
LENGTH = ["--trainer.accelerator", "cpu", "--data.num_train", "400", "--trainer.max_epochs", "3"]
STEPS = 12
KINDS = {
    "softmax": ["--config", "softmax"],
    "dropout_batchnorm": ["--config", "dropout_batchnorm", "--model.hidden_sizes", "[16, 16]"],
    "double precision": ["--config", "dropout_batchnorm", "--model.hidden_sizes", "[16, 16]",
                         "--trainer.precision", "64-true"],
    "bfloat16": ["--config", "dropout", "--model.hidden_sizes", "[16, 16]", "--trainer.precision", "bf16-mixed"],
    "bagging": ["--config", "bagging", "--model.num_members", "2", "--model.member_args.hidden_sizes", "[16]"],
    "augmented": ["--config", "softmax", "--data.augment", "affine"],
    "checkpoints within epochs": ["--config", "softmax", "--checkpoint.every_n_train_steps", "2",
                                  "--checkpoint.save_top_k", "-1"],
    "validation within epochs": ["--config", "softmax", "--trainer.val_check_interval", "0.5",
                                 "--checkpoint.save_on_train_epoch_end", "false"],
    "validation of every second epoch": ["--config", "softmax", "--trainer.check_val_every_n_epoch", "2"],
}  # fmt: skip

FAST = ("double precision", "checkpoints within epochs", "validation within epochs")


def signal_at(step: int) -> list[str]:
    init_args = f'{{"step": {step}, "signal": 15}}'
    return ["--trainer.callbacks+", f'{{"class_path": "tests.helpers.SignalAt", "init_args": {init_args}}}']


def checkpoints(version: int) -> list[Path]:
    """Return the checkpoints of a run, the furthest one last."""
    [parent] = Path("logs").iterdir()
    paths = parent.joinpath(f"version_{version}", "checkpoints").glob("*step=*.ckpt")
    return sorted(paths, key=lambda path: int(path.stem.rpartition("step=")[2]))


def logged_rows(version: int) -> set[tuple[tuple[str, str], ...]]:
    """Return what a run logged, without the columns that are empty."""
    [parent] = Path("logs").iterdir()
    with parent.joinpath(f"version_{version}", "metrics.csv").open() as file:
        return {tuple((name, value) for name, value in sorted(row.items()) if value) for row in csv.DictReader(file)}


def assert_same_end(version: int, reference: int = 0) -> None:
    """Check that two runs ended with the same weights, optimizer, counters and last metrics."""
    expected, found = (checkpoints(number)[-1] for number in (reference, version))
    assert found.name == expected.name
    assert weights(found) == weights(expected)
    left, right = (torch.load(path, weights_only=True) for path in (expected, found))
    assert left["epoch"] == right["epoch"]
    assert str(left["optimizer_states"]) == str(right["optimizer_states"])
    for name in ("epoch_progress", "epoch_loop.batch_progress", "epoch_loop.state_dict"):
        assert left["loops"]["fit_loop"][name] == right["loops"]["fit_loop"][name]
    # The resumed run repeats what the reference logged from where it went on, and logs nothing else.
    assert logged_rows(version) <= logged_rows(reference)


def train_in_parts(fit: list[str], parts: list[list[str]]) -> int:
    """Train once without and once with interruptions, and return the number of the last run's folder."""
    assert main(fit) == 0
    version = 0
    resumed: list[str] = []
    for arguments in (*parts, []):
        main([*fit, *resumed, *arguments])
        version += 1
        if saved := checkpoints(version):
            resumed = ["--ckpt_path", str(saved[-1])]
    return version


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in FAST else [pytest.mark.slow]) for kind in KINDS]
)
def test_three_resumes_in_a_chain_end_where_an_uninterrupted_training_ends(kind: str) -> None:
    rng = random.Random(kind)
    steps = sorted(rng.sample(range(1, STEPS), 3))
    fit = ["fit", *KINDS[kind], *LENGTH]
    assert_same_end(train_in_parts(fit, [signal_at(step) for step in steps]))


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", range(30))
def test_three_resumes_from_random_places(place: int) -> None:
    rng = random.Random(place)
    kind = rng.choice(list(KINDS))
    steps = sorted(rng.sample(range(1, STEPS), 3))
    fit = ["fit", *KINDS[kind], *LENGTH]
    assert_same_end(train_in_parts(fit, [signal_at(step) for step in steps]))


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param([["--trainer.max_steps", "3"]], marks=pytest.mark.slow),
        [["--trainer.max_steps", "4"]],  # the last step of an epoch
        pytest.param(
            [["--trainer.max_steps", "6"], ["--trainer.max_steps", "7"], ["--trainer.max_epochs", "2"]],
            marks=pytest.mark.slow,
        ),
        [["--trainer.max_epochs", "1"], ["--trainer.max_steps", "6"], signal_at(9)],
    ],
)
def test_a_training_that_ended_is_prolonged(parts: list[list[str]]) -> None:
    assert_same_end(train_in_parts(["fit", *KINDS["dropout_batchnorm"], *LENGTH], parts))


@pytest.mark.parametrize("end", [11, pytest.param(12, marks=pytest.mark.slow)])
def test_a_training_of_steps_is_prolonged(end: int) -> None:
    fit = ["fit", *KINDS["softmax"], *LENGTH[:-1], "-1", "--trainer.max_steps", str(end)]
    parts = [["--trainer.max_steps", "3"], signal_at(5), ["--trainer.max_steps", "8"]]
    assert_same_end(train_in_parts(fit, parts))


def test_every_checkpoint_of_a_chain_can_be_resumed() -> None:
    fit = ["fit", *KINDS["checkpoints within epochs"], *LENGTH]
    main(fit)
    for step in (4, 8):  # at the last batch of an epoch, before it was validated
        version = len(list(Path("logs/softmax").iterdir()))
        [path] = Path(f"logs/softmax/version_{version - 1}/checkpoints").glob(f"*step={step}.ckpt")
        assert main([*fit, "--ckpt_path", str(path)]) == 0
        assert_same_end(version)


def test_a_training_that_stopped_early_is_at_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = '{"monitor": "val_loss", "patience": 1, "min_delta": 0.4}'
    stop_early = ["--trainer.callbacks", f'{{"class_path": "EarlyStopping", "init_args": {arguments}}}']
    fit = ["fit", *KINDS["softmax"], *LENGTH, *stop_early]
    main(fit)
    assert checkpoints(0)[-1].name == "epoch=1-step=8.ckpt"
    capsys.readouterr()
    assert main([*fit, "--ckpt_path", "last"]) == 0
    assert "Nothing was trained" in capsys.readouterr().out
    patient = [argument.replace('"patience": 1', '"patience": 9') for argument in fit]
    assert main([*patient, "--ckpt_path", "last"]) == 0
    assert "Epoch 3/3" in capsys.readouterr().out


def test_the_line_of_an_epoch_says_what_was_measured_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", *KINDS["validation of every second epoch"], *LENGTH])
    lines: list[Any] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert ["val_acc" in line for line in lines] == [False, True, False]
