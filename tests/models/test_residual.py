from __future__ import annotations

from typing import Any

import pytest
import torch

from zoo.layers.blocks import Residual
from zoo.models import ResidualCNN, ResidualMLP
from zoo.utils.errors import UsageError


def gradient_ratio(model: ResidualMLP) -> float:
    """The first block's mean squared gradient over the last block's."""
    torch.manual_seed(0)
    model(torch.rand(50, 1, 28, 28)).log_softmax(dim=1)[:, 3].mean().backward()
    blocks: list[Any] = [block for block in model.net if isinstance(block, Residual)]
    first, last = (block.layers[0][0].weight.grad for block in (blocks[0], blocks[-1]))
    return float(first.square().mean() / last.square().mean())


def test_gradients_reach_the_bottom_of_fifty_layers() -> None:
    torch.manual_seed(0)
    assert 0.1 < gradient_ratio(ResidualMLP(64, 25)) < 10
    assert gradient_ratio(ResidualMLP(64, 25, activation="sigmoid", weight_init="xavier_uniform", skip=False)) < 1e-20


def test_the_sum_of_all_blocks_does_not_grow_with_their_number() -> None:
    torch.manual_seed(0)
    images = torch.rand(100, 1, 28, 28)
    sizes = [float(ResidualMLP(64, blocks).net[:-2](images).detach().square().mean()) for blocks in (2, 50)]
    assert 0.2 < sizes[1] / sizes[0] < 5


def test_without_ways_around_it_is_an_ordinary_net() -> None:
    model = ResidualMLP(8, 1, skip=False)
    images = torch.rand(3, 1, 28, 28)
    net: Any = model.net
    first, block, output = net[1], net[2], net[4]
    hidden = first(images.flatten(start_dim=1))
    expected = output(block.layers[1](block.layers[0](hidden)).relu())
    torch.testing.assert_close(model(images), expected)


def test_pictures_are_halved_before_each_size() -> None:
    shapes = []
    model = ResidualCNN((4, 8, 16)).eval()
    for layer in model.net:
        layer.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    model(torch.rand(2, 1, 28, 28))
    assert shapes[:6] == [(4, 14, 14), (4, 14, 14), (8, 7, 7), (8, 7, 7), (16, 4, 4), (16, 4, 4)]


@pytest.mark.parametrize(
    ("kind", "arguments", "complaint"),
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
def test_wrong_arguments_are_refused_in_a_sentence(kind: Any, arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(UsageError, match=complaint):
        kind(**arguments)
