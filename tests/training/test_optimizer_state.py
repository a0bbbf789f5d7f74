"""The states of optimizers and schedules are compared with the objects that are to take them up."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer, lr_scheduler

from zoo.runs.training_state import StateMismatch
from zoo.training.optimizer_state import check_optimizer_states, check_schedule_states

OPTIMIZERS: dict[str, Callable[[Any], Optimizer]] = {
    "adam": torch.optim.Adam,
    "amsgrad": lambda parameters: torch.optim.Adam(parameters, amsgrad=True),
    "fused adam": lambda parameters: torch.optim.Adam(parameters, fused=True),
    "sgd": lambda parameters: torch.optim.SGD(parameters, 0.1),
    "momentum": lambda parameters: torch.optim.SGD(parameters, 0.1, momentum=0.9),
    "rmsprop": lambda parameters: torch.optim.RMSprop(parameters, momentum=0.9, centered=True),
    **{
        name: getattr(torch.optim, name)
        for name in ("AdamW", "Adagrad", "Adadelta", "Adafactor", "Adamax", "ASGD", "NAdam", "RAdam", "Rprop")
    },
}
SCHEDULES: dict[str, Callable[[Optimizer], Any]] = {
    "lambda": lambda optimizer: lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch),
    "steps": lambda optimizer: lr_scheduler.MultiStepLR(optimizer, [1, 2, 2, 9]),
    "cosine": lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, 9),
    "cycle": lambda optimizer: lr_scheduler.OneCycleLR(optimizer, 0.1, 9),
    "plateau": lr_scheduler.ReduceLROnPlateau,
    "sequence": lambda optimizer: lr_scheduler.SequentialLR(
        optimizer, [lr_scheduler.ConstantLR(optimizer), lr_scheduler.ExponentialLR(optimizer, 0.9)], [2]
    ),
}


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last), nn.Flatten(), nn.Linear(8, 3))


def trained(make: Callable[[Any], Optimizer], steps: int = 2) -> Optimizer:
    """Return an optimizer after some steps on two groups of parameters."""
    model = network()
    optimizer = make(model.parameters())

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = model(torch.ones(4, 2, 4, 4)).square().sum()
        loss.backward()
        return loss

    for _ in range(steps):
        optimizer.step(closure)  # type: ignore[arg-type]
    return optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_state_of_the_same_optimizer_fits(name: str) -> None:
    for steps in (0, 1, 3):
        state = trained(OPTIMIZERS[name], steps).state_dict()
        fresh = trained(OPTIMIZERS[name], 0)
        before = copy.deepcopy(fresh.state_dict())
        check_optimizer_states([fresh], [state], [len(state["state"])])
        assert str(fresh.state_dict()) == str(before)  # the check leaves the optimizer as it was


def test_an_optimizer_that_needs_a_closure_has_its_groups_compared_only() -> None:
    model = nn.Linear(3, 2)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss: Tensor = model(torch.ones(4, 3)).square().sum()
        loss.backward()
        return loss

    optimizer = torch.optim.LBFGS(model.parameters())
    optimizer.step(closure)
    check_optimizer_states([torch.optim.LBFGS(model.parameters())], [optimizer.state_dict()])


@pytest.mark.parametrize("name", [each for each in OPTIMIZERS if each not in ("sgd")])
def test_a_state_that_lacks_a_tensor_or_has_another_one_is_refused(name: str) -> None:
    state = trained(OPTIMIZERS[name]).state_dict()
    for key, value in state["state"][2].items():
        others: list[Any] = ["text", None, [], torch.zeros(7, 7), -1 if value.dim() else "1"]
        for other in others:
            changed = copy.deepcopy(state)
            changed["state"][2][key] = other
            with pytest.raises(StateMismatch):
                check_optimizer_states([trained(OPTIMIZERS[name], 0)], [changed])
        changed = copy.deepcopy(state)
        del changed["state"][2][key]
        with pytest.raises(StateMismatch, match=key):
            check_optimizer_states([trained(OPTIMIZERS[name], 0)], [changed])


def test_tensors_in_another_order_of_memory_are_refused() -> None:
    state = trained(torch.optim.Adam).state_dict()
    state["state"][0]["exp_avg"] = state["state"][0]["exp_avg"].contiguous()
    with pytest.raises(StateMismatch, match=r"exp_avg is \(2, 2, 3, 3\) for a parameter of \(2, 2, 3, 3\)"):
        check_optimizer_states([trained(torch.optim.Adam, 0)], [state])


@pytest.mark.parametrize(
    "change",
    [
        lambda state: state.update(param_groups=[]),
        lambda state: state["param_groups"].append(state["param_groups"][0]),
        lambda state: state["param_groups"].__setitem__(0, 3),
        lambda state: state["param_groups"][0]["params"].pop(),
        lambda state: state["param_groups"][0]["params"].reverse(),
        lambda state: state["param_groups"][0].update(params=[0, 0, 0, 0]),
        lambda state: state["param_groups"][0].update(params=["0", "1", "2", "3"]),
        lambda state: state["param_groups"][0].update(lr="0.1"),
        lambda state: state["param_groups"][0].update(betas=[0.9, 0.99, 0.9]),
        lambda state: state["param_groups"][0].pop("lr"),
        lambda state: state["param_groups"][0].pop("params"),
        lambda state: state["state"].pop(1),
        lambda state: state["state"].update({9: state["state"][0]}),
        lambda state: state["state"].update({"0": state["state"].pop(0)}),
        lambda state: state["state"].update({0: 3}),
        lambda state: state.pop("state"),
        lambda state: state.update(state=[]),
    ],
)
def test_other_groups_or_parameters_are_refused(change: Callable[[Any], None]) -> None:
    state = copy.deepcopy(trained(torch.optim.Adam).state_dict())
    change(state)
    with pytest.raises(StateMismatch):
        check_optimizer_states([trained(torch.optim.Adam, 0)], [state], [4])


@pytest.mark.parametrize("states", [None, 3, {}, [], [{}], [3], "pair"])
def test_another_number_of_states_is_refused(states: Any) -> None:
    optimizer = trained(torch.optim.Adam)
    states = [optimizer.state_dict()] * 2 if states == "pair" else states
    with pytest.raises(StateMismatch):
        check_optimizer_states([optimizer], states)
    with pytest.raises(StateMismatch):
        check_schedule_states([SCHEDULES["cosine"](optimizer)], states)


def test_a_state_of_an_older_version_without_later_settings_fits() -> None:
    state = trained(torch.optim.Adam).state_dict()
    del state["param_groups"][0]["decoupled_weight_decay"]
    check_optimizer_states([trained(torch.optim.Adam, 0)], [state])


@pytest.mark.parametrize("name", SCHEDULES)
def test_a_state_of_the_same_schedule_fits_and_others_are_refused(name: str) -> None:
    optimizer = trained(torch.optim.Adam)
    schedule = SCHEDULES[name](optimizer)
    state = schedule.state_dict()
    other = SCHEDULES[name](trained(torch.optim.Adam))
    check_schedule_states([other], [state])
    for key, value in state.items():
        if value is not None:
            with pytest.raises(StateMismatch):
                check_schedule_states([other], [{**state, key: object()}])
        with pytest.raises(StateMismatch, match=key):
            check_schedule_states([other], [{each: state[each] for each in state if each != key}])
    for method in ("step", "optimizer", "get_last_lr"):
        with pytest.raises(StateMismatch, match=f"unknown {method}"):
            check_schedule_states([other], [{**state, method: 3}])
