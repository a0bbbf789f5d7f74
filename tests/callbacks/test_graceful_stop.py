"""SIGTERM ends an evaluation or a prediction at once."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from zoo.cli import main
from zoo.models import SoftmaxRegression

FIT = ["fit", "--config", "softmax", "--trainer.max_epochs", "1", "--data.num_train", "500"]


@pytest.mark.parametrize(
    ("arguments", "step"),
    [
        (["test", "--config", "softmax", "--ckpt_path", "softmax"], "test_step"),
        (["validate", "--config", "softmax", "--ckpt_path", "softmax"], "validation_step"),
        (["predict", "--config", "softmax", "--ckpt_path", "softmax"], "predict_step"),
        (FIT, "test_step"),
    ],
)
def test_sigterm_exits_within_the_current_batch(
    arguments: list[str], step: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    completed_steps = []
    original = getattr(SoftmaxRegression, step)

    def interrupted_step(*step_arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        output = original(*step_arguments)
        completed_steps.append(step)
        return output

    monkeypatch.setattr(SoftmaxRegression, step, interrupted_step)
    with pytest.raises(SystemExit) as exit_info:
        main([*arguments, "--trainer.accelerator", "cpu"])
    assert exit_info.value.code == 143
    assert not completed_steps
    assert "stopped by SIGTERM" in capsys.readouterr().err
    assert "EvaluationStop" not in repr(signal.getsignal(signal.SIGTERM))
