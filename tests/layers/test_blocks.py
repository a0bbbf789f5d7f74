from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from zoo.layers.activations import ACTIVATIONS, make_activation, preactivation_size
from zoo.layers.blocks import ParallelBranches, ResidualBlock, convolution, dense
from zoo.models import MLP, Classifier, ResidualCNN, ResidualMLP, SplitMerge, SplitMergeCNN


def test_maxout_is_the_maximum_of_two_linear_units() -> None:
    layer = dense(3, 4, "maxout", "normal")
    x = torch.randn(5, 3)
    linear = layer[0](x)
    assert linear.shape == (5, 8)
    torch.testing.assert_close(layer(x), torch.maximum(linear[:, :4], linear[:, 4:]))
    assert make_activation("maxout")(torch.randn(2, 6, 7, 7)).shape == (2, 3, 7, 7)
    assert [preactivation_size(name, 5) for name in ("relu", "maxout")] == [5, 10]


def test_skip_connection_adds_the_input() -> None:
    layers = nn.Linear(4, 4)
    x = torch.randn(3, 4)
    torch.testing.assert_close(ResidualBlock(layers, nn.ReLU())(x), (x + layers(x)).relu())
    torch.testing.assert_close(ResidualBlock(layers, nn.ReLU(), skip=False)(x), layers(x).relu())


def test_maxout_is_applied_before_the_addition() -> None:
    model = ResidualMLP(4, 1, activation="maxout")
    block: Any = model.net[2]
    x = torch.randn(3, 4)
    torch.testing.assert_close(block(x), x + block.layers(x))


def test_parallel_branches_are_concatenated() -> None:
    first, second = nn.Linear(4, 2), nn.Linear(4, 3)
    x = torch.randn(5, 4)
    torch.testing.assert_close(ParallelBranches([first, second])(x), torch.cat([first(x), second(x)], dim=1))


@pytest.mark.parametrize(("stride", "side"), [(1, 7), (2, 4)])
@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_convolution_preserves_or_halves_the_resolution(kernel_size: int, stride: int, side: int) -> None:
    layers = convolution(2, 6, kernel_size, "relu", "he_normal", stride)
    assert layers(torch.randn(3, 2, 7, 7)).shape == (3, 6, side, side)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("model_class", [MLP, SplitMerge, SplitMergeCNN, ResidualMLP, ResidualCNN])
def test_every_network_supports_every_activation(model_class: type[Classifier], activation: str) -> None:
    model: Classifier = model_class(activation=activation)  # type: ignore[call-arg]
    modules = [type(module) for module in model.modules()]
    assert ACTIVATIONS[activation] in modules
    logits = model(torch.rand(4, 1, 28, 28))
    assert logits.shape == (4, 10)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)
