"""The fused kernel makes the optimizer's own steps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from zoo.training.fused_update import FusedAdamInPieces, make_update
from zoo.training.optimizers import OPTIMIZERS, make_optimizer


def trained(optimizer: Optimizer, update: Any, parameters: list[nn.Parameter], steps: int = 6) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] *= 0.9  # as a schedule does
        for place, parameter in enumerate(parameters):
            gradient = torch.randn(parameter.shape, generator=generator)
            # The last has none in the first two steps, the first none in the fourth.
            absent = (place == len(parameters) - 1 and step < 2) or (place == 0 and step == 3)
            parameter.grad = None if absent else gradient
        update()
    return [parameter.detach() for parameter in parameters]


def parameters(*shapes: tuple[int, ...]) -> list[nn.Parameter]:
    torch.manual_seed(0)
    return [nn.Parameter(torch.randn(shape)) for shape in shapes or ((5, 3), (5,), (7,))]


@pytest.mark.parametrize("kind", [Adam, AdamW])
@pytest.mark.parametrize("amsgrad", [False, True])
def test_in_pieces_as_on_a_gpu_it_is_the_same_to_the_last_bit(kind: Any, amsgrad: bool) -> None:
    shapes = ((256, 300), (300,), (2, 5000), (3,))
    ones, others = parameters(*shapes), parameters(*shapes)
    settings = {"amsgrad": amsgrad, "weight_decay": 0.1, "fused": True}
    one = kind([{"params": ones[:2], "lr": 0.01}, {"params": ones[2:]}], 0.1, **settings)
    other = kind([{"params": others[:2], "lr": 0.01}, {"params": others[2:]}], 0.1, **settings)
    pieces = FusedAdamInPieces(one)
    found = trained(one, pieces, ones)
    wanted = trained(other, other.step, others)
    assert all(map(torch.equal, found, wanted))
    for ours, theirs in zip(one.state_dict()["state"].values(), other.state_dict()["state"].values(), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(map(torch.equal, ours.values(), theirs.values()))


@pytest.mark.parametrize(
    ("sizes", "amsgrad", "size"),
    [
        ([76800, 300, 10000, 3], False, 3 * 1024),  # 25 + 1 + 4 + 1 pieces; of 2 · 1024 there would be 45
        ([35 * 1024], False, 1024),
        ([36 * 1024 + 1], False, 2 * 1024),
        ([31 * 1024], True, 2 * 1024),
        ([1024] * 40, False, 1024),  # which need two launches as they are
        ([5], False, 1024),
    ],
)
def test_pieces_need_no_more_launches_than_the_parameters(sizes: list[int], amsgrad: bool, size: int) -> None:
    pieces = FusedAdamInPieces(Adam(parameters(), fused=True))
    assert pieces.piece_size(sizes, amsgrad) == size


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_is_the_same_to_the_last_bit_whichever_parameters_have_a_gradient(name: str) -> None:
    ones, others = parameters(), parameters()
    one = make_optimizer(name, [{"params": ones[:2], "lr": 0.01}, {"params": ones[2:]}], 0.1, 0.9, 0.001)
    other = make_optimizer(name, [{"params": others[:2], "lr": 0.01}, {"params": others[2:]}], 0.1, 0.9, 0.001)
    found = trained(one, make_update(one), ones)
    wanted = trained(other, other.step, others)
    assert all(map(torch.equal, found, wanted))
    for ours, theirs in zip(one.state_dict()["state"].values(), other.state_dict()["state"].values(), strict=True):
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[part], theirs[part]) for part in ours if isinstance(ours[part], Tensor))


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_what_is_hooked_to_an_optimizer_is_called_at_every_step(kind: type[Optimizer]) -> None:
    weights = parameters()
    optimizer = kind(weights, fused=True)  # type: ignore[call-arg]
    calls: list[int] = []
    optimizer.register_step_post_hook(lambda *_: calls.append(1))
    trained(optimizer, make_update(optimizer), weights)
    assert len(calls) == 6
