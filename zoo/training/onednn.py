"""Linear layers whose matrix products oneDNN computes, on processors where it is faster than MKL.

torch gives products of matrices in single precision to MKL. On AMD's processors, MKL leaves AVX-512 unused, and oneDNN,
the library of torch's convolutions, is faster: ``docs/measurements.md`` compares epochs with both. The libraries
round differently, so a training is the same to the last bit only with one of them.
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
from torch.overrides import TorchFunctionMode

from zoo.utils.compiled import is_compiled

ONEDNN = "ZOO_ONEDNN"
"""Environment variable: 0 leaves all products to MKL, 1 gives those that suit to oneDNN on any processor."""
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


def suits(weight: Tensor, bias: Tensor | None) -> bool:
    """Return whether oneDNN computes the products of a layer with this weight ``(O, I)`` and bias."""
    is_single = weight.device.type == "cpu" and weight.dtype == torch.float32 and weight.layout == torch.strided
    has_right_shape = weight.dim() == 2 and min(weight.shape) >= LEAST_SIZE
    has_right_bias = bias is None or (bias.shape == weight.shape[:1] and bias.is_contiguous())
    return is_single and has_right_shape and has_right_bias and is_chosen()


def product(inputs: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """Return ``inputs @ weight.T + bias`` for inputs ``(B, I)``, a weight ``(O, I)`` and a contiguous bias ``(O,)``."""
    if inputs.shape[1] != weight.shape[1]:
        return F.linear(inputs, weight, bias)  # which says so, while oneDNN's error names no sizes
    outputs: Tensor = torch.ops.mkldnn._linear_pointwise(inputs, weight, bias, "none", [], "")
    return outputs


def by_onednn(network: Any) -> contextlib.AbstractContextManager[object]:
    """Return a context in which the linear layers that suit are computed by oneDNN, forward and backward.

    Args:
        network: The LightningModule that is computed. One that is compiled is left as it is.
    """
    if torch.compiler.is_compiling():
        return contextlib.nullcontext()
    is_used = network.device.type == "cpu" and is_chosen() and not is_compiled(network)
    return _LinearLayers() if is_used else contextlib.nullcontext()


@contextlib.contextmanager
def constant_weights() -> Iterator[None]:
    """Return a context in which linear layers by oneDNN take their weights for constants.

    `torch.autograd.grad` computes no gradient that it is not asked for, except within a function such as `_Linear`.
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
            has_right_inputs = inputs.dim() == 2 and len(inputs) > 0 and inputs.dtype == weight.dtype
            if has_right_inputs and suits(weight, bias) and _is_plain():
                if _weights_are_constant.get():
                    weight, bias = weight.detach(), None if bias is None else bias.detach()
                return _Linear.apply(inputs, weight, bias)
        return function(*arguments, **(keywords or {}))


def _is_plain() -> bool:
    """Return whether nothing is at work that `_Linear` does not know.

    That is `torch.autocast`, a transform of `torch.func`, derivatives forward, and hooks for saved tensors, by which
    activations are computed again in the backward pass, when MKL would compute them.
    """
    return not (
        torch.is_autocast_enabled("cpu")
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
        or torch._C._autograd._top_saved_tensors_default_hooks(True) is not None
    )


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(inputs: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return product(inputs, weight, bias)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
        values, weight, _ = inputs
        by_inputs, by_weight, _ = ctx.needs_input_grad
        # No more than torch saves, so that the rest may change in place meanwhile.
        ctx.save_for_backward(values if by_weight else None, weight if by_inputs else None)
        ctx.is_transposed = weight.t().is_contiguous()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        inputs, weight = ctx.saved_tensors
        by_inputs, by_weight, by_bias = ctx.needs_input_grad
        return (
            _multiply(gradient, weight.t()) if by_inputs else None,
            _weight_gradient(inputs, gradient, ctx.is_transposed) if by_weight else None,
            gradient.sum(0) if by_bias else None,
        )


def _multiply(inputs: Tensor, weight: Tensor) -> Tensor:
    # By the same function, so that a gradient can be differentiated again.
    outputs: Tensor = _Linear.apply(inputs, weight, None)
    return outputs


def _weight_gradient(inputs: Tensor, gradient: Tensor, is_transposed: bool) -> Tensor:
    """Return the gradient ``(O, I)`` with the strides of the weight, which is transposed if it is an RBM's."""
    if is_transposed:
        return _multiply(inputs.t(), gradient.t()).t()
    return _multiply(gradient.t(), inputs.t())
