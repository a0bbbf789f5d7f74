"""Linear layers whose matrix products oneDNN computes, on processors where it is faster than MKL.

torch gives products of matrices in single precision to MKL. On AMD's processors, MKL leaves AVX-512 unused. oneDNN, the
library of torch's convolutions, takes half the time there. Both libraries round differently, so a training is the same
to the last bit only with one of them.
"""

from __future__ import annotations

import contextlib
import functools
import os
import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import FunctionCtx
from torch.overrides import TorchFunctionMode

from zoo.utils.compiled import is_compiled

ONEDNN = "ZOO_ONEDNN"
"""Environment variable: 0 leaves all products to MKL, 1 gives them to oneDNN on any processor."""
LEAST_SIZE = 32
"""Of both dimensions of a weight whose products oneDNN computes: with smaller ones, MKL is faster."""


def is_chosen() -> bool:
    """Return whether oneDNN computes products: on AMD's processors with AVX-512, or as ``ZOO_ONEDNN`` says."""
    chosen = os.environ.get(ONEDNN)
    return chosen != "0" and _is_available() and (chosen == "1" or _is_faster())


@functools.cache
def _is_available() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@functools.cache
def _is_faster() -> bool:
    if not torch.backends.mkl.is_available() or torch.backends.cpu.get_cpu_capability() != "AVX512":
        return False
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        text = platform.processor()  # on Windows, the vendor is a part of it
    return "AuthenticAMD" in text


def suits(weight: Tensor) -> bool:
    """Return whether oneDNN computes the products of a layer with this weight ``(O, I)``."""
    is_single = weight.device.type == "cpu" and weight.dtype == torch.float32
    return is_single and weight.dim() == 2 and min(weight.shape) >= LEAST_SIZE and is_chosen()


def product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``inputs @ weight.T + bias`` for inputs ``(B, I)``, a weight ``(O, I)`` and a bias ``(O,)``."""
    outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return outputs


def by_onednn(network: Any) -> contextlib.AbstractContextManager[object]:
    """Return a context in which the linear layers that suit are computed by oneDNN, forward and backward.

    Args:
        network: The LightningModule that is computed. One that is compiled is left as it is.
    """
    is_used = network.device.type == "cpu" and is_chosen() and not is_compiled(network)
    return _LinearLayers() if is_used else contextlib.nullcontext()


@contextlib.contextmanager
def constant_weights() -> Iterator[None]:
    """Let no gradient of linear layers' weights be computed for what is made within, if oneDNN makes it.

    `torch.autograd.grad` leaves out by itself what it is not asked for, but not within a function such as `_Linear`.
    """
    token = _weights_are_constant.set(True)
    try:
        yield
    finally:
        _weights_are_constant.reset(token)


_weights_are_constant: ContextVar[bool] = ContextVar("weights_are_constant", default=False)


class _LinearLayers(TorchFunctionMode):
    def __torch_function__(
        self,
        function: Callable[..., Any],
        types: Iterable[type],
        arguments: tuple[Any, ...] = (),
        keywords: Mapping[str, Any] | None = None,
    ) -> Any:
        if function is F.linear and not keywords:
            inputs, weight, bias = (*arguments, None)[:3]
            if inputs.dim() == 2 and len(inputs) and inputs.dtype == weight.dtype and suits(weight) and _is_plain():
                if _weights_are_constant.get():
                    weight, bias = weight.detach(), None if bias is None else bias.detach()
                return _Linear.apply(inputs, weight, bias)
        return function(*arguments, **(keywords or {}))


def _is_plain() -> bool:
    """Return whether neither `torch.autocast` nor a transform of `torch.func` is at work."""
    return not torch.is_autocast_enabled("cpu") and not torch._C._are_functorch_transforms_active()


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return product(inputs, weight, bias)

    @staticmethod
    def setup_context(ctx: FunctionCtx, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        ctx.save_for_backward(*inputs[:2])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        by_inputs, by_weight, by_bias = ctx.needs_input_grad
        return (
            _multiply(gradient, weight.t()) if by_inputs else None,
            _weight_gradient(inputs, weight, gradient) if by_weight else None,
            gradient.sum(0) if by_bias else None,
        )


def _multiply(inputs: Tensor, weight: Tensor) -> Tensor:
    # By the same function, so that a gradient can be differentiated again.
    outputs: Tensor = _Linear.apply(inputs, weight, None)
    return outputs


def _weight_gradient(inputs: Tensor, weight: Tensor, gradient: Tensor) -> Tensor:
    """Return the gradient ``(O, I)``, in memory as the weight is: an RBM's is the transposed of its layer's."""
    if weight.t().is_contiguous():
        return _multiply(inputs.t(), gradient.t()).t()
    return _multiply(gradient.t(), inputs.t())
