from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from tests.helpers import complaint
from zoo.cli import main
from zoo.data import XORDataModule
from zoo.models import XORNet
from zoo.utils.errors import UsageError

FIT = ["fit", "--config", "demos/xor_sigmoid", "--trainer.accelerator", "cpu"]


def test_the_first_slide_s_net_is_its_formula() -> None:
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
def test_exclusive_or_is_learned(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--seed_everything", str(seed)]) == 0
    last = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Test set:"))
    assert "4 of 4 right" in last
    checkpoint = "logs/xor_sigmoid/version_0/checkpoints/last.ckpt"
    assert main(["test", "--config", "demos/xor_sigmoid", "--ckpt_path", checkpoint]) == 0
    assert last in capsys.readouterr().out
    model = XORNet.load_from_checkpoint(checkpoint)
    inputs = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    assert (model(inputs) > 0).tolist() == [False, True, True, False]


def test_without_a_hidden_layer_it_cannot_be(capsys: pytest.CaptureFixture[str]) -> None:
    """The best that a linear net can do is to say one half to all four: Minsky and Papert's point."""
    assert main([*FIT, "--model.hidden_sizes", "[]", "--trainer.max_epochs", "5"]) == 0
    output = capsys.readouterr().out
    assert "4 of 4 right" not in output
    assert f"cost {math.log(2):.4f}" in output


@pytest.mark.parametrize(
    ("kind", "arguments", "sentence"),
    [
        (XORNet, {"optimizer": "adm"}, "did you mean adam"),
        (XORNet, {"hidden_sizes": [0]}, r"hidden_sizes is \[0\]"),
        (XORNet, {"lr": 0.0}, "lr is 0.0"),
        (XORDataModule, {"steps_per_epoch": 0}, "steps_per_epoch is 0"),
    ],
)
def test_wrong_arguments_are_refused_in_a_sentence(kind: Any, arguments: dict[str, Any], sentence: str) -> None:
    with pytest.raises(UsageError, match=sentence):
        kind(**arguments)


@pytest.mark.parametrize(
    ("words", "sentence"),
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
def test_a_net_and_data_that_do_not_belong_together(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in complaint([*words, "--trainer.accelerator", "cpu"], capsys)
