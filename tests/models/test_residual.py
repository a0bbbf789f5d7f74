from __future__ import annotations

from typing import Any

import pytest
import torch

from zoo.layers.blocks import ResidualBlock
from zoo.models import ResidualCNN, ResidualMLP
from zoo.utils.errors import UsageError


def gradient_ratio(model: ResidualMLP) -> float:
    """Return the ratio of the mean squared gradients in the first and the last block."""
    torch.manual_seed(0)
    model(torch.rand(50, 1, 28, 28)).log_softmax(dim=1)[:, 3].mean().backward()
    blocks: list[Any] = [block for block in model.net if isinstance(block, ResidualBlock)]
    first, last = (block.layers[0][0].weight.grad for block in (blocks[0], blocks[-1]))
    return float(first.square().mean() / last.square().mean())


def test_gradients_do_not_vanish_in_fifty_layers() -> None:
    torch.manual_seed(0)
    assert 0.1 < gradient_ratio(ResidualMLP(64, 25)) < 10
    assert gradient_ratio(ResidualMLP(64, 25, activation="sigmoid", weight_init="xavier_uniform", skip=False)) < 1e-20


def test_initial_output_does_not_grow_with_the_number_of_blocks() -> None:
    torch.manual_seed(0)
    images = torch.rand(100, 1, 28, 28)
    mean_squares = [float(ResidualMLP(64, blocks).net[:-2](images).detach().square().mean()) for blocks in (2, 50)]
    assert 0.2 < mean_squares[1] / mean_squares[0] < 5


def test_without_skip_connections_it_is_a_plain_network() -> None:
    model = ResidualMLP(8, 1, skip=False)
    images = torch.rand(3, 1, 28, 28)
    net: Any = model.net
    first, block, output = net[1], net[2], net[4]
    hidden = first(images.flatten(start_dim=1))
    expected = output(block.layers[1](block.layers[0](hidden)).relu())
    torch.testing.assert_close(model(images), expected)


def test_each_entry_of_channels_halves_the_resolution() -> None:
    shapes = []
    model = ResidualCNN((4, 8, 16)).eval()
    for layer in model.net:
        layer.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    model(torch.rand(2, 1, 28, 28))
    assert shapes[:6] == [(4, 14, 14), (4, 14, 14), (8, 7, 7), (8, 7, 7), (16, 4, 4), (16, 4, 4)]


@pytest.mark.parametrize(
    ("model_class", "arguments", "message"),
    [
        (ResidualMLP, {"width": 0}, "width is 0"),
        (ResidualMLP, {"num_blocks": -1}, "num_blocks is -1"),
        (ResidualMLP, {"dropout": 1.0}, "dropout is 1.0"),
        (ResidualCNN, {"channels": []}, r"channels is \[\]"),
        (ResidualCNN, {"channels": [8, 0]}, r"channels is \[8, 0\]"),
        (ResidualCNN, {"channels": [1, 2, 3, 4, 5]}, "can be halved 4 times"),
        (ResidualCNN, {"num_blocks": 1001}, "num_blocks is 1001"),
    ],
)
def test_wrong_arguments_raise(model_class: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        model_class(**arguments)
