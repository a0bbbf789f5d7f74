"""Back-propagation written out for fully connected nets, as the lecture draws it: forward, then back, layer by layer.

Autograd records every operation and then walks through the record; for a network this small that costs more than half
of what the arithmetic does. Each layer here calls the kernels that autograd would call, in the same order, so the
gradients are autograd's to the last bit, which is tested. Networks with other layers than these are left to autograd.
"""

from __future__ import annotations

import copy
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn

from zoo.layers.activations import ACTIVATIONS
from zoo.training.onednn import product, suits
from zoo.training.steps import Batch, StepResult

aten = torch.ops.aten


class _Layer(ABC):
    """A layer that keeps what its backward pass needs."""

    parameters: tuple[Tensor, ...] = ()
    """Those whose ``grad`` the backward pass sets."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs ``(B, …)`` to outputs ``(B, …)``."""

    @abstractmethod
    def backward(self, gradient: Tensor, needs_input_gradient: bool) -> Tensor | None:
        """Set the parameters' gradients, and return that with respect to the inputs if it is needed.

        Args:
            gradient: With respect to the outputs; it may be overwritten.
            needs_input_gradient: Whether there is a layer below.
        """


class _Linear(_Layer):
    def __init__(self, layer: nn.Linear) -> None:
        self.weight, self.bias = layer.weight, layer.bias
        self.parameters = (layer.weight,) if layer.bias is None else (layer.weight, layer.bias)
        self.transposed = layer.weight.t()
        self.by_onednn = suits(layer.weight, layer.bias)
        # The same memory at every step stays in the processor's cache. oneDNN returns memory of its own.
        for parameter in self.parameters:
            parameter.grad = torch.empty_like(parameter)

    def forward(self, inputs: Tensor) -> Tensor:
        self.inputs = inputs
        if self.by_onednn:
            return product(inputs, self.weight, self.bias)
        return inputs.mm(self.transposed) if self.bias is None else torch.addmm(self.bias, inputs, self.transposed)

    def backward(self, gradient: Tensor, needs_input_gradient: bool) -> Tensor | None:
        if self.bias is not None:
            assert self.bias.grad is not None
            torch.sum(gradient, 0, out=self.bias.grad)
        if self.by_onednn:
            own = product(gradient.t(), self.inputs.t())
            # Adam's kernel expects a gradient laid out as its weight.
            self.weight.grad = own if self.weight.is_contiguous() else torch.empty_like(self.weight).copy_(own)
            return product(gradient, self.transposed) if needs_input_gradient else None
        assert self.weight.grad is not None
        torch.mm(gradient.t(), self.inputs, out=self.weight.grad)
        return gradient.mm(self.weight) if needs_input_gradient else None


class _BatchNorm(_Layer):
    def __init__(self, layer: nn.BatchNorm1d) -> None:
        self.layer = layer
        self.parameters = tuple(each for each in (layer.weight, layer.bias) if each.requires_grad)

    def forward(self, inputs: Tensor) -> Tensor:
        norm = self.layer
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        self.inputs = inputs
        outputs, self.mean, self.inverse_deviation = aten.native_batch_norm(
            inputs, norm.weight, norm.bias, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
        )
        normalized: Tensor = outputs
        return normalized

    def backward(self, gradient: Tensor, needs_input_gradient: bool) -> Tensor | None:
        norm = self.layer
        mask = [needs_input_gradient, norm.weight.requires_grad, norm.bias.requires_grad]
        input_gradient: Tensor | None
        input_gradient, *by_parameters = aten.native_batch_norm_backward(
            *(gradient, self.inputs, norm.weight, norm.running_mean, norm.running_var),
            *(self.mean, self.inverse_deviation, True, norm.eps, mask),
        )
        present = [each for each in by_parameters if each is not None]
        for parameter, own in zip(self.parameters, present, strict=True):
            parameter.grad = own
        return input_gradient


class _Dropout(_Layer):
    """`torch.nn.Dropout`, whose own random numbers it draws in half the time.

    `Tensor.bernoulli_` draws 64 bits for each number, takes 53 of them as a fraction and compares that with the
    probability, one number at a time. Here one kernel draws the bits and vectorized ones compare them.
    """

    FRACTION = 2**53

    def __init__(self, layer: nn.Dropout) -> None:
        self.keep = 1 - layer.p

    def forward(self, inputs: Tensor) -> Tensor:
        bits = torch.empty(inputs.shape, dtype=torch.int64).random_(-(2**63), None).bitwise_and_(self.FRACTION - 1)
        kept = bits < math.ceil(self.keep * self.FRACTION)
        # From bytes, because torch converts Boolean values one by one.
        self.noise: Tensor = kept.view(torch.uint8).to(inputs.dtype).div_(self.keep)
        return inputs * self.noise

    def backward(self, gradient: Tensor, needs_input_gradient: bool) -> Tensor | None:
        return gradient.mul_(self.noise)


class _ReLU(_Layer):
    def forward(self, inputs: Tensor) -> Tensor:
        self.outputs = torch.relu_(inputs)  # the layer below has no use for its outputs
        return self.outputs

    def backward(self, gradient: Tensor, needs_input_gradient: bool) -> Tensor | None:
        input_gradient: Tensor = aten.threshold_backward.grad_input(gradient, self.outputs, 0, grad_input=gradient)
        return input_gradient


class _Activation(_Layer):
    """Any other activation, by autograd within the layer."""

    def __init__(self, layer: nn.Module) -> None:
        self.layer = copy.copy(layer)
        self.layer.inplace = False  # type: ignore[assignment]  # autograd needs the inputs as they are

    def forward(self, inputs: Tensor) -> Tensor:
        self.inputs = inputs.requires_grad_()
        with torch.enable_grad():
            self.outputs: Tensor = self.layer(self.inputs)
        outputs: Tensor = self.outputs.detach()
        return outputs

    def backward(self, gradient: Tensor, needs_input_gradient: bool) -> Tensor | None:
        input_gradient: Tensor = torch.autograd.grad(self.outputs, self.inputs, gradient)[0]
        return input_gradient


def _make_layer(layer: nn.Module, below: _Layer | None) -> _Layer | None:
    """Return a layer's forward and backward pass, or None where it is not known; of known classes, no subclasses."""
    if type(layer) is nn.Linear:
        return _Linear(layer) if all(each.requires_grad for each in layer.parameters()) else None
    if type(layer) is nn.BatchNorm1d:
        plain = layer.affine and layer.track_running_stats and layer.momentum is not None
        return _BatchNorm(layer) if plain else None
    if type(layer) is nn.Dropout:
        return _Dropout(layer)
    if type(layer) is nn.ReLU and isinstance(below, _Linear | _BatchNorm):
        return _ReLU()
    return _Activation(layer) if type(layer) in ACTIVATIONS.values() else None


class Chain:
    """The layers of a fully connected net from images to logits, trained by cross-entropy.

    Args:
        layers: From the bottom up.
    """

    def __init__(self, layers: list[_Layer]) -> None:
        self.layers = layers
        self.parameters = [parameter for layer in layers for parameter in layer.parameters]
        self.one = torch.ones((), dtype=self.parameters[0].dtype if self.parameters else None)

    @classmethod
    def of(cls, modules: Iterable[nn.Module]) -> Chain | None:
        """Return the chain of some modules, the first of which may flatten, or None where autograd has to do it.

        That is where a layer is unknown, frozen, in evaluation mode or shares its parameters with another. Hooks are
        not called: see `is_hooked`.
        """
        layers: list[_Layer] = []
        for place, module in enumerate(modules):
            if not module.training:
                return None
            if (place == 0 and isinstance(module, nn.Flatten)) or (isinstance(module, nn.Dropout) and not module.p):
                continue
            layer = _make_layer(module, layers[-1] if layers else None)
            if layer is None:
                return None
            layers.append(layer)
        chain = cls(layers)
        return chain if layers and len(set(chain.parameters)) == len(chain.parameters) else None

    def compute_gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Set each parameter's ``grad`` to that of the mean cross-entropy; autograd is off.

        Args:
            images: ``(B, …)``.
            labels: int64 ``(B,)``.

        Returns:
            The mean cross-entropy in nats, a scalar, and the logits ``(B, C)``.
        """
        logits = images.flatten(start_dim=1)
        for layer in self.layers:
            logits = layer.forward(logits)
        log_probabilities = torch.log_softmax(logits, 1)
        loss, total_weight = aten.nll_loss_forward(log_probabilities, labels, None, 1, -100)
        gradient: Tensor | None
        gradient = aten.nll_loss_backward(self.one, log_probabilities, labels, None, 1, -100, total_weight)
        gradient = aten._log_softmax_backward_data(gradient, log_probabilities, 1, logits.dtype)
        for place in reversed(range(len(self.layers))):
            assert gradient is not None
            gradient = self.layers[place].backward(gradient, needs_input_gradient=place > 0)
        return loss, logits


class ManualStep:
    """A step of a chain of layers, without autograd.

    Args:
        chain: The layers.
        l2: λ of the penalty λ·Σw² over the weights.
        weights: Those that are penalized.
        update: Makes the optimizer's step from the gradients.
    """

    def __init__(self, chain: Chain, l2: float, weights: Sequence[Tensor], update: Callable[[], None]) -> None:
        self.chain = chain
        self.l2 = l2
        self.weights = weights
        self.update = update

    @torch.no_grad()
    def __call__(self, batch: Batch) -> StepResult:
        """Train on a batch ``(images, labels, …)`` and return what was measured."""
        images, labels, *_ = batch
        loss, logits = self.chain.compute_gradients(images, labels)
        if self.l2:
            for weight in self.weights:
                assert weight.grad is not None
                weight.grad.add_(weight.mul(2).mul_(self.l2))
        self.update()
        return {"loss": loss, "cross_entropy": loss, "logits": logits, "labels": labels}


def is_hooked(network: nn.Module) -> bool:
    """Return whether something is called when a part of a network is used, or when a weight's gradient is there."""
    owners = (*network.modules(), *network.parameters())
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    own = any(getattr(owner, name, None) for owner in owners for name in (*names, "_post_accumulate_grad_hooks"))
    return own or bool(nn.modules.module._has_any_global_hook())
