from __future__ import annotations

import math

import pytest
import torch
from torch.optim import SGD

from zoo.training.schedules import check_not_prolonged, with_schedule
from zoo.utils.errors import UsageError


def rates(name: str, steps: int, lr: float = 0.5) -> list[float]:
    """Return the learning rate of each step of a training."""
    optimizer = SGD([torch.zeros(1, requires_grad=True)], lr)
    configured = with_schedule(optimizer, name, lambda: steps)
    found = []
    for _ in range(steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        configured["lr_scheduler"]["scheduler"].step()  # type: ignore
    return found


def test_one_cycle_follows_its_formula() -> None:
    def on_cosine(start: float, end: float, fraction: float) -> float:
        return end + (start - end) / 2 * (1 + math.cos(math.pi * fraction))

    steps, lr = 50, 0.5
    top = 0.3 * steps - 1
    low, end = lr / 25, lr / 25 / 10_000
    expected = [
        on_cosine(low, lr, step / top) if step <= top else on_cosine(lr, end, (step - top) / (steps - 1 - top))
        for step in range(steps)
    ]
    found = rates("one_cycle", steps)
    assert found == pytest.approx(expected, rel=1e-9)
    assert (found[0], max(found), found[14], found[-1]) == pytest.approx((low, lr, lr, end))


def test_cosine_follows_its_formula() -> None:
    expected = [0.25 * (1 + math.cos(math.pi * step / 20)) for step in range(20)]
    assert rates("cosine", 20) == pytest.approx(expected, rel=1e-9)


def test_each_group_of_parameters_has_the_top_of_its_own_rate() -> None:
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.3)]
    optimizer = SGD(groups, 0.1)
    schedule = with_schedule(optimizer, "one_cycle", lambda: 10)["lr_scheduler"]["scheduler"]  # type: ignore
    optimizer.step()
    for _ in range(2):
        schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.1, 0.3])


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_schedule_is_not_prolonged(name: str) -> None:
    configured = with_schedule(SGD([torch.zeros(1, requires_grad=True)], 0.1), name, lambda: 10)
    schedule = configured["lr_scheduler"]["scheduler"]  # type: ignore
    check_not_prolonged(schedule, lambda: 10)
    with pytest.raises(UsageError, match=f"lr_schedule {name} was made for a training of another length"):
        check_not_prolonged(schedule, lambda: 11)


@pytest.mark.parametrize("name", ["cosine", "one_cycle"])
def test_a_schedule_needs_to_know_the_end(name: str) -> None:
    with pytest.raises(UsageError, match=f"lr_schedule {name} needs to know the end"):
        with_schedule(SGD([torch.zeros(1, requires_grad=True)], 0.1), name, lambda: math.inf)
