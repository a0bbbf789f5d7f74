from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import error_output
from zoo.cli import main
from zoo.data import XORDataModule
from zoo.models import XORNet
from zoo.utils.errors import UsageError

FIT = ["fit", "--config", "demos/xor_sigmoid", "--trainer.accelerator", "cpu"]


def test_forward_matches_the_formula_of_the_first_slide() -> None:
    model = XORNet()
    linear = [layer for layer in model.net if isinstance(layer, nn.Linear)]
    assert [tuple(layer.weight.shape) for layer in linear] == [(5, 2), (4, 5), (1, 4)]
    assert all(layer.weight.abs().max() <= 1 and not layer.bias.any() for layer in linear)
    x = torch.rand(6, 2)
    hidden = x
    for layer in linear[:2]:
        hidden = torch.sigmoid(hidden @ layer.weight.T + layer.bias)
    torch.testing.assert_close(model(x), (hidden @ linear[2].weight.T + linear[2].bias)[:, 0])


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 10))])
def test_training_learns_exclusive_or(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--seed_everything", str(seed)]) == 0
    last = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Test set:"))
    assert "4 of 4 right" in last
    checkpoint = "logs/xor_sigmoid/version_0/checkpoints/last.ckpt"
    assert main(["test", "--config", "demos/xor_sigmoid", "--ckpt_path", checkpoint]) == 0
    assert last in capsys.readouterr().out
    model = XORNet.load_from_checkpoint(checkpoint)
    inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert (model(inputs) > 0).tolist() == [False, True, True, False]


def test_without_hidden_layers_exclusive_or_is_not_learned(capsys: pytest.CaptureFixture[str]) -> None:
    """The best linear network predicts one half for all four inputs (Minsky and Papert)."""
    assert main([*FIT, "--model.hidden_sizes", "[]", "--trainer.max_epochs", "5"]) == 0
    output = capsys.readouterr().out
    assert "4 of 4 right" not in output
    assert f"loss {math.log(2):.4f}" in output


@pytest.mark.parametrize(
    ("subject", "arguments", "message"),
    [
        (XORNet, {"optimizer": "adm"}, "did you mean adam"),
        (XORNet, {"hidden_sizes": [0]}, r"hidden_sizes is \[0\]"),
        (XORNet, {"lr": 0.0}, "lr is 0.0"),
        (XORDataModule, {"steps_per_epoch": 0}, "steps_per_epoch is 0"),
    ],
)
def test_wrong_arguments_raise(subject: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        subject(**arguments)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fit", "--config", "deep_relu", "--data", "zoo.data.XORDataModule"], "has the shape (2,)"),
        (["fit", "--config", "demos/xor_sigmoid", "--data", "zoo.data.MNISTDataModule"], "has the shape (1, 28, 28)"),
        (["fit", "--config", "bagging", "--data", "zoo.data.XORDataModule"], "which image is which"),
        *(
            ([verb, "--config", "softmax", "--ckpt_path", "softmax", "--data", "zoo.data.XORDataModule"], "(2,)")
            for verb in ("validate", "test", "predict")
        ),
    ],
)
def test_data_that_does_not_fit_the_network_gives_an_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_output([*arguments, "--trainer.accelerator", "cpu"], capsys)
