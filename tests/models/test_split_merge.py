from __future__ import annotations

from typing import Any

import pytest
import torch

from zoo.layers.blocks import ParallelBranches
from zoo.models import SplitMerge, SplitMergeCNN
from zoo.utils.errors import UsageError


def test_branches_have_the_given_depths_and_are_concatenated() -> None:
    model = SplitMerge(width=6, branch_width=4, depths=(1, 3))
    parallel: Any = model.net[2]
    assert isinstance(parallel, ParallelBranches)
    branches: list[Any] = list(parallel.branches)
    assert [len(branch) for branch in branches] == [1, 3]
    x = torch.randn(5, 6)
    torch.testing.assert_close(parallel(x), torch.cat([branch(x) for branch in parallel.branches], dim=1))
    merge: Any = model.net[3]
    assert merge[0].in_features == 8


def test_inception_modules_have_four_branches_and_preserve_the_resolution() -> None:
    model = SplitMergeCNN(stem=8, channels=(3, 5)).eval()
    shapes = []
    modules = [layer for layer in model.net if isinstance(layer, ParallelBranches)]
    for module in modules:
        assert len(module.branches) == 4
        module.register_forward_hook(lambda _, __, output: shapes.append(tuple(output.shape[1:])))
    model(torch.rand(2, 1, 28, 28))
    assert shapes == [(12, 14, 14), (20, 7, 7)]


@pytest.mark.parametrize(
    ("model_class", "arguments", "message"),
    [
        (SplitMerge, {"depths": []}, r"depths is \[\]"),
        (SplitMerge, {"depths": [1, 0]}, r"depths is \[1, 0\]"),
        (SplitMerge, {"branch_width": 0}, "branch_width is 0"),
        (SplitMergeCNN, {"stem": 0}, "stem is 0"),
        (SplitMergeCNN, {"channels": [0]}, r"channels is \[0\]"),
        (SplitMergeCNN, {"dropout": -0.1}, "dropout is -0.1"),
    ],
)
def test_wrong_arguments_raise(model_class: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        model_class(**arguments)
