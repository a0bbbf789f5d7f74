from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from zoo.cli import main
from zoo.models import SoftmaxRegression
from zoo.utils.float32_precision import kept_float32_precision, set_float32_precision


def settings() -> tuple[str, bool]:
    return torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32


@pytest.mark.parametrize(("precision", "tf32"), [("highest", False), ("high", True), ("medium", True)])
def test_products_and_convolutions_have_the_same_precision(precision: str, tf32: bool) -> None:
    before = settings()
    with kept_float32_precision():
        set_float32_precision(precision)
        assert settings() == (precision, tf32)
    assert settings() == before


STATE = """
import torch
from zoo.utils.float32_precision import kept_float32_precision, set_float32_precision
backends = torch.backends
kinds = backends.cuda.matmul, backends.mkldnn.matmul, backends.cudnn.conv, backends.cudnn.rnn
def readable(read):
    try:
        return read()
    except RuntimeError:
        return "mixed"
def state():
    together = readable(torch.get_float32_matmul_precision), readable(lambda: backends.cudnn.allow_tf32)
    return [kind.fp32_precision for kind in kinds], together
"""


@pytest.mark.parametrize(
    "settings",
    [
        "pass",
        "torch.set_float32_matmul_precision('high')",
        "backends.cudnn.allow_tf32 = False",
        "backends.cuda.matmul.fp32_precision = 'tf32'",
        "backends.mkldnn.matmul.fp32_precision = 'bf16'",
        "backends.cudnn.conv.fp32_precision = 'ieee'",
        "backends.cudnn.rnn.fp32_precision = 'ieee'",
        "backends.fp32_precision = 'tf32'",
        "backends.cudnn.fp32_precision = 'tf32'",
    ],
)
def test_whatever_a_program_has_set_is_overruled_and_restored(settings: str) -> None:
    program = f"""{STATE}
{settings}
before = state()
with kept_float32_precision():
    set_float32_precision("highest")
    within = state()
assert within[1] == ("highest", False), within
assert "tf32" not in within[0], within
assert state() == before, (before, state())
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr


def test_a_training_is_computed_in_full_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[str, bool]] = []
    monkeypatch.setattr(SoftmaxRegression, "on_fit_start", lambda _: found.append(settings()), raising=False)
    before = settings()
    fit = ["fit", "--config", "softmax", "--trainer.max_epochs", "1", "--data.num_train", "100"]
    for precision in ([], ["--float32_matmul_precision", "high"]):
        assert main([*fit, *precision]) == 0
    assert found == [("highest", False), ("high", True)]
    assert settings() == before
