"""An evaluation ends when it is asked to."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from zoo.cli import main
from zoo.models import SoftmaxRegression

FIT = ["fit", "--config", "softmax", "--trainer.max_epochs", "1", "--data.num_train", "500"]


@pytest.mark.parametrize(
    ("words", "step"),
    [
        (["test", "--config", "softmax", "--ckpt_path", "softmax"], "test_step"),
        (["validate", "--config", "softmax", "--ckpt_path", "softmax"], "validation_step"),
        (["predict", "--config", "softmax", "--ckpt_path", "softmax"], "predict_step"),
        (FIT, "test_step"),
    ],
)
def test_sigterm_ends_it_within_the_batch_under_way(
    words: list[str], step: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = []
    original = getattr(SoftmaxRegression, step)

    def interrupted(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        found = original(*arguments)
        ended.append(step)
        return found

    monkeypatch.setattr(SoftmaxRegression, step, interrupted)
    with pytest.raises(SystemExit) as end:
        main([*words, "--trainer.accelerator", "cpu"])
    assert end.value.code == 143
    assert not ended
    assert "stopped by SIGTERM" in capsys.readouterr().err
    assert "Termination" not in repr(signal.getsignal(signal.SIGTERM))
