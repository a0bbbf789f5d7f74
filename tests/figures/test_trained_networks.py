"""The pictures of a trained network: its weights, its layers, what it looks at, and its dead units."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import zoo
from tests.helpers import error_output
from zoo.cli import main
from zoo.figures.dead_units import unit_ranges
from zoo.figures.writing import read_table
from zoo.inference.hidden_layers import first_weights, hidden_outputs, single_network
from zoo.inference.saliency import smooth_gradient
from zoo.models import MLP, Classifier, SoftmaxRegression
from zoo.runs.checkpoint import write_weights

NAMES = ("weights", "layers", "saliency", "dead_units")
OF_EACH_KIND = {
    "dropout_batchnorm": 4,
    "residual": None,
    "residual_cnn": None,
    "fast_cnn": 3,
    "accurate_cnn": 5,
    "split_merge": None,
    "recurrent": 1,
    "dbn": 3,
    "generative_dbn": 2,
    "bagging": 2,
    "selu": None,
}
"""A member to its number of hidden layers, where that is not a matter of counting."""


@pytest.mark.parametrize("name", OF_EACH_KIND)
def test_networks_of_every_kind_have_layers_and_first_weights(name: str) -> None:
    network = single_network(zoo.create_model(name).eval())
    outputs = hidden_outputs(network, torch.rand(3, 1, 28, 28))
    assert outputs
    assert OF_EACH_KIND[name] in (None, len(outputs))
    assert all(len(output) == 3 for output in outputs.values())
    assert first_weights(network).shape[-1] in (28, 5, 3)


def linear(model: Classifier, place: int) -> nn.Linear:
    """Return a layer of a network that is a sequence of layers."""
    layer = cast(nn.Sequential, model.net)[place]
    assert isinstance(layer, nn.Linear)
    return layer


def test_hidden_outputs_are_the_activations_of_the_layers_in_order() -> None:
    model = MLP([7, 5]).eval()
    images = torch.rand(4, 1, 28, 28)
    first = (images.flatten(1) @ linear(model, 1).weight.T + linear(model, 1).bias).relu()
    second = (first @ linear(model, 3).weight.T + linear(model, 3).bias).relu()
    outputs = hidden_outputs(model, images)
    assert list(outputs) == ["layer 1", "layer 2"]
    torch.testing.assert_close(outputs["layer 1"], first)
    torch.testing.assert_close(outputs["layer 2"], second)


def test_units_that_never_change_are_dead() -> None:
    model = MLP([6]).eval()
    with torch.no_grad():
        linear(model, 1).bias[:2] = -1000.0
    ranges = unit_ranges(model, [torch.rand(10, 1, 28, 28), torch.rand(10, 1, 28, 28)])
    assert (ranges["layer 1"] == 0).tolist() == [True, True, False, False, False, False]


def test_the_gradient_of_softmax_regression_is_that_of_its_formula() -> None:
    """Without noise it is w_c − Σ p_k w_k; with equal weights of all classes it vanishes whatever the noise is."""
    model = SoftmaxRegression(weight_init="zeros", bias_init="zeros").eval()
    images, classes = torch.rand(2, 1, 28, 28), torch.tensor([3, 4])
    assert smooth_gradient(model, images, classes).abs().max() == 0
    with torch.no_grad():
        linear(model, 1).weight[3] = 1e-4  # so small that the noise changes no probability
    gradient = smooth_gradient(model, images, classes)
    torch.testing.assert_close(gradient[0], torch.full((28, 28), 0.9e-4), rtol=0.1, atol=0)
    torch.testing.assert_close(gradient[1], torch.full((28, 28), -0.1e-4), rtol=0.1, atol=0)


def test_each_picture_is_drawn_of_a_member_and_holds_its_numbers() -> None:
    assert main(["figures", *NAMES, "--model", "deep_relu_xavier", "--output_dir", "out"]) == 0
    model = zoo.load_pretrained("deep_relu_xavier")
    rows = read_table(Path("out/weights.csv"))
    assert len(rows) == 100 * 784
    assert isinstance(model, MLP)
    assert float(rows[-1]["weight"]) == pytest.approx(linear(model, 1).weight[99, 783].item(), rel=1e-6)
    layers = {row["layer"] for row in read_table(Path("out/layers.csv"))}
    assert layers == {"image", "layer 1", "layer 2", "probabilities"}
    assert [row["answer"] for row in read_table(Path("out/saliency.csv"))][::784] == [str(digit) for digit in range(10)]
    assert len(read_table(Path("out/dead_units.csv"))) == 512
    for name in NAMES:
        assert Path(f"out/{name}.png").read_bytes().startswith(b"\x89PNG")


def test_a_checkpoint_and_a_picture_of_ones_own_are_drawn() -> None:
    model = SoftmaxRegression()
    write_weights(model, dict(model.hparams), Path("mine.ckpt"))
    page = np.full((50, 50), 255, np.uint8)
    page[10:40, 20:26] = 0
    Image.fromarray(page).save("one.png")
    assert main(["figures", "weights", "layers", "--model", "mine.ckpt", "--picture", "one.png"]) == 0
    assert len(read_table(Path("figures/weights.csv"))) == 7840
    image = [float(row["output"]) for row in read_table(Path("figures/layers.csv")) if row["layer"] == "image"]
    assert image == pytest.approx(zoo.preprocess("one.png").flatten().tolist())


def test_what_has_no_hidden_layer_has_no_dead_units(capsys: pytest.CaptureFixture[str]) -> None:
    assert "softmax has no hidden layer" in error_output(["figures", "dead_units", "--model", "softmax"], capsys)
    assert "no classifier" in error_output(["figures", "weights", "--model", "rbm"], capsys)
    assert "There is no checkpoint nowhere.ckpt" in error_output(
        ["figures", "layers", "--model", "nowhere.ckpt"], capsys
    )
    assert not Path("figures").exists()
