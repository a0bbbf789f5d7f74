"""A training in which nothing is learned says so."""

from __future__ import annotations

import pytest

from zoo.cli import main

SHORT = ["--data.batch_size", "20", "--data.val_size", "1000", "--trainer.max_epochs", "1"]


@pytest.mark.parametrize(
    ("member", "rate", "advice"),
    [
        (
            "deep_relu_xavier",
            "50",
            "another model.lr than 50.0 or another model.weight_init or another model.activation.",
        ),
        ("deep_relu_xavier", "0.001", None),
        ("softmax", "1e-9", "try another model.lr than 1e-09 or another model.weight_init."),
    ],
)
def test_a_network_that_guesses_is_told_of(
    capsys: pytest.CaptureFixture[str], member: str, rate: str, advice: str | None
) -> None:
    arguments = ["--config", member, "--model.lr", rate, "--trainer.limit_train_batches", "150", *SHORT]
    assert main(["fit", *arguments]) == 0
    errors = capsys.readouterr().err
    assert ("answers as by guessing (val_acc 0." in errors) == (advice is not None)
    assert advice is None or advice in errors


def test_nothing_is_said_of_a_few_steps(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--config", "deep_relu_xavier", "--model.lr", "50", "--trainer.limit_train_batches", "20", *SHORT]
    assert main(["fit", *arguments]) == 0
    assert "guessing" not in capsys.readouterr().err
