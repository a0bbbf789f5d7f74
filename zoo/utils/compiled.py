"""Networks that torch.compile has compiled, whole or in part."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from torch import nn

_WRAPPED = "_orig_mod."
"""What ``torch.compile(part)`` puts before the names of a part's weights."""


def is_compiled(network: nn.Module) -> bool:
    """Return whether a network or a part of it is compiled.

    There are three ways: ``torch.compile(network)``, which Lightning unwraps, ``network.net = torch.compile(…)`` and
    ``network.compile()``, of the whole or of a part.
    """
    from torch._dynamo.eval_frame import OptimizedModule  # imports sympy, so only where it is needed

    return getattr(network, "_compiler_ctx", None) is not None or any(
        isinstance(part, OptimizedModule) or part._compiled_call_impl is not None for part in network.modules()
    )


def compile_parts(network: nn.Module) -> None:
    """Compile the parts of a network in place, which keeps the names of their weights.

    The network itself is not compiled: its steps log, which the compiler does not understand.
    """
    for part in network.children():
        if isinstance(part, nn.ModuleList | nn.ModuleDict):
            compile_parts(part)  # it is called part by part
        elif part._compiled_call_impl is None:
            part.compile()


def compile_forward_only(module: Any) -> None:
    """Undo what ``Trainer.fit(torch.compile(module))`` has done to the steps of a LightningModule.

    They count and log, which the compiler does not understand; ``forward`` stays compiled.
    """
    if getattr(module, "_compiler_ctx", None) is not None:
        for name in ("training_step", "validation_step", "test_step", "predict_step"):
            vars(module).pop(name, None)


def without_compiler_names(state: dict[str, Any]) -> dict[str, Any]:
    """Return a state under the names that the weights have without the compiler."""
    return {name.replace(_WRAPPED, ""): value for name, value in state.items()}


def with_compiler_names(state: dict[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return a state under the names of a network that may be compiled.

    Args:
        state: The values, whether or not their names are those of a compiled network.
        names: The network's names.
    """
    own = {name.replace(_WRAPPED, ""): name for name in names}
    plain = without_compiler_names(state)
    return {own.get(name, name): value for name, value in plain.items()}
