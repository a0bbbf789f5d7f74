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


def test_settings_for_one_kind_of_layer_are_restored() -> None:
    program = """
import torch
from zoo.utils.float32_precision import kept_float32_precision, set_float32_precision
kinds = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
for kind, precision in zip(kinds, ("tf32", "ieee", "tf32")):
    kind.fp32_precision = precision
with kept_float32_precision():
    set_float32_precision("highest")
    print([kind.fp32_precision for kind in kinds])
print([kind.fp32_precision for kind in kinds])
"""
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    within, after = run.stdout.splitlines()
    assert "tf32" not in within
    assert after == "['tf32', 'ieee', 'tf32']"


def test_a_training_is_computed_in_full_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[tuple[str, bool]] = []
    monkeypatch.setattr(SoftmaxRegression, "on_fit_start", lambda _: found.append(settings()), raising=False)
    before = settings()
    fit = ["fit", "--config", "softmax", "--trainer.max_epochs", "1", "--data.num_train", "100"]
    for precision in ([], ["--float32_matmul_precision", "high"]):
        assert main([*fit, *precision]) == 0
    assert found == [("highest", False), ("high", True)]
    assert settings() == before
