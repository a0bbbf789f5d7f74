"""Whether states of optimizers and schedules in a checkpoint fit, and what of them depends on the device."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from zoo.runs.training_state import StateMismatch, compare_states, is_count


def check_optimizer_states(optimizers: Sequence[Optimizer], states: Any, counts: Any = None) -> None:
    """Check that a checkpoint has a state for each optimizer, with its groups and the tensors of its parameters.

    Fused kernels do not check the shapes and strides of tensors and would write out of bounds.

    Args:
        optimizers: The optimizers, before loading.
        states: The checkpoint's ``optimizer_states``.
        counts: The number of parameters that each optimizer had a state for; None if that is not known.

    Raises:
        StateMismatch: A state does not fit.
    """
    compare_states("optimizer_states", [{"state": {}, "param_groups": []}] * len(optimizers), states)
    if len(states) != len(optimizers):  # no optimizers: any list passes the comparison
        raise StateMismatch(f"optimizer_states does not have {len(optimizers)} items")
    if counts is not None:
        if not isinstance(counts, list) or not all(map(is_count, counts)):
            raise StateMismatch("state_counts is no list of counts")
        if counts != [len(state["state"]) for state in states]:
            raise StateMismatch("optimizer_states lacks parameters, or has other ones")
    for index, (optimizer, state) in enumerate(zip(optimizers, states, strict=True)):
        name = f"optimizer_states[{index}]"
        groups = _check_groups(f"{name}.param_groups", optimizer, state["param_groups"])
        _check_parameters(f"{name}.state", optimizer, groups, state["state"])


def check_schedule_states(schedules: Sequence[Any], states: Any) -> None:
    """Check that a checkpoint has a state for each learning rate schedule, with its names and kinds.

    Args:
        schedules: The schedules, before loading.
        states: The checkpoint's ``lr_schedulers``.

    Raises:
        StateMismatch: A state does not fit.
    """
    if not isinstance(states, list) or len(states) != len(schedules):
        raise StateMismatch(f"lr_schedulers is no list of {len(schedules)} items")
    for index, (schedule, state) in enumerate(zip(schedules, states, strict=True)):
        name = f"lr_schedulers[{index}]"
        expected = schedule.state_dict()
        compare_states(name, expected, state)
        # A schedule takes up every name, so that an unknown one could replace its methods.
        hidden = [key for key in state if key not in expected and hasattr(schedule, str(key))]
        if hidden:
            raise StateMismatch(f"{name} has an unknown {hidden[0]}")


def _check_groups(name: str, optimizer: Optimizer, groups: Any) -> list[dict[str, Any]]:
    """Check the settings of an optimizer in a checkpoint, and return them with the defaults of those that it lacks."""
    expected = optimizer.state_dict()["param_groups"]
    # Settings that later versions of torch have added are missing in the files of earlier ones.
    compare_states(name, [{"params": group["params"]} for group in expected], groups)
    defaulted = copy.copy(optimizer)
    defaulted.__setstate__({"state": defaultdict(dict), "param_groups": [dict(group) for group in groups]})
    for index, (group, found) in enumerate(zip(expected, defaulted.param_groups, strict=True)):
        compare_states(f"{name}[{index}]", group, found)
        if found["params"] != group["params"]:
            raise StateMismatch(f"{name}[{index}].params are other parameters")
    return defaulted.param_groups


def _check_parameters(name: str, optimizer: Optimizer, groups: list[dict[str, Any]], found: dict[Any, Any]) -> None:
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    if not found.keys() <= set(range(len(parameters))):
        raise StateMismatch(f"{name} is of other parameters")
    expected = _state_after_first_step(optimizer, groups)
    for index, entry in found.items():
        if not isinstance(entry, dict):
            raise StateMismatch(f"{name}[{index}] is no dict")
        if expected is not None:
            _check_entry(f"{name}[{index}]", parameters[index], expected[index], entry)


def _check_entry(name: str, parameter: Tensor, expected: dict[str, Any], found: dict[str, Any]) -> None:
    needed, present = ({key for key, value in each.items() if value is not None} for each in (expected, found))
    if needed != present:
        raise StateMismatch(f"{name} has no {', '.join(sorted(map(str, needed ^ present)))} or should not have it")
    for key in needed:
        value, other = expected[key], found[key]
        # The parameters of a convolution need not be contiguous, so their strides are compared.
        layouts = [(each.shape, each.stride()) for each in (value, other) if isinstance(each, Tensor)]
        if len(layouts) == 2 and layouts[0] != layouts[1]:
            raise StateMismatch(f"{key} is {tuple(other.shape)} for a parameter of {tuple(parameter.shape)}")
        compare_states(f"{name}.{key}", value, other)


def _state_after_first_step(optimizer: Optimizer, groups: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """Return what an optimizer with these settings keeps of each parameter; None if only a real step shows that."""
    if optimizer.state:
        return [optimizer.state.get(each, {}) for group in optimizer.param_groups for each in group["params"]]
    trial = copy.copy(optimizer)
    trial.state = defaultdict(dict)
    trial.param_groups = [
        {**settings, "params": [_with_zero_gradient(each) for each in group["params"]]}
        for group, settings in zip(optimizer.param_groups, groups, strict=True)
    ]
    try:
        trial.step()
    except Exception:  # an optimizer that needs more than gradients, for example a closure
        return None
    return [trial.state.get(each, {}) for group in trial.param_groups for each in group["params"]]


def _with_zero_gradient(parameter: Tensor) -> Tensor:
    copied = torch.zeros_like(parameter, requires_grad=True)
    copied.grad = torch.zeros_like(copied)
    return copied


def keep_fused(optimizers: Iterable[Optimizer], states: Iterable[dict[str, Any]]) -> None:
    """Set ``fused`` in optimizers' states to that of the optimizers: it depends on the device, which may be another.

    Args:
        optimizers: Those of the training.
        states: Theirs from a checkpoint, which fit and are modified in place.
    """
    for optimizer, state in zip(optimizers, states, strict=True):
        for own, saved in zip(optimizer.param_groups, state["param_groups"], strict=True):
            if "fused" in own:
                saved["fused"] = own["fused"]
