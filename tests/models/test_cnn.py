from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from zoo.models import CNN
from zoo.utils.errors import UsageError


def shapes_of(model: CNN) -> list[tuple[int, ...]]:
    """Return the shapes of the pooled maps and of the hidden layers, without the batch."""
    shapes: list[tuple[int, ...]] = []
    for layer in model.net:
        if isinstance(layer, nn.MaxPool2d | nn.Linear):
            layer.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    model.eval()(torch.rand(2, 1, 28, 28))
    return shapes


def test_each_group_ends_with_pooling() -> None:
    assert shapes_of(CNN()) == [(16, 12, 12), (32, 5, 5), (128,), (10,)]
    padded = CNN([[4, 4], [6], [8, 8]], [3, 5, 3], padding=True, hidden_sizes=[])
    assert shapes_of(padded) == [(4, 14, 14), (6, 7, 7), (8, 3, 3), (10,)]
    assert sum(isinstance(layer, nn.Conv2d) for layer in padded.net) == 5


def test_pooling_first_gives_what_pooling_last_gives() -> None:
    """Batch norm with positive scales and a ReLU never decrease, so the maximum before them is the one after them."""
    model = CNN([[6]], [3], hidden_sizes=[]).eval()
    images = torch.rand(5, 1, 28, 28)
    net: Any = model.net
    filters, pooling, norm, activation = net[:4]
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    expected = pooling(activation(norm(filters(images))))
    torch.testing.assert_close(net[:4](images), expected)


def test_maxout_units_see_two_filters_each() -> None:
    model = CNN([[3]], [3], hidden_sizes=[4], activation="maxout")
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    filters: Any = model.net[0]
    assert filters.out_channels == 6


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"channels": [[8]]}, r"channels has 1 list\(s\), but kernel_sizes has 2"),
        ({"channels": [[8], []]}, r"group 2 of channels is \[\]"),
        ({"channels": [[8], [0]]}, r"group 2 of channels is \[0\]"),
        ({"channels": [[8], [8]], "kernel_sizes": [5, 29]}, r"kernel_sizes is \[5, 29\]"),
        ({"kernel_sizes": [4, 3], "padding": True}, r"kernel_sizes is \[4, 3\]"),
        ({"channels": [[8, 8, 8], [8] * 4], "kernel_sizes": [5, 3]}, "No pixel is left after group 2"),
        ({"hidden_sizes": [0]}, r"hidden_sizes is \[0\]"),
        ({"dropout": 1.0}, "dropout is 1.0"),
    ],
)
def test_wrong_arguments_raise(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        CNN(**arguments)
