"""Back-propagation written out for a chain of layers, as the lecture draws it: forwards, then back, layer by layer.

Autograd records every operation and finds its way back through the record; for a network this small that costs more
than half of what the arithmetic does. Each layer here calls the kernels that autograd would call, in the same order,
so the gradients are autograd's to the last bit, which is tested.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from zoo.layers.noise import bernoulli_noise

aten = torch.ops.aten


class Link(ABC):
    """A layer that remembers of its way forwards what it needs for the way back."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs ``(B, …)`` to outputs ``(B, …)``."""

    @abstractmethod
    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        """From the cost's gradient by the outputs, set the parameters' ``grad``.

        Args:
            gradient: In the shape of the outputs.
            wanted: Whether a layer below asks for the gradient by the inputs.

        Returns:
            That gradient, if it is wanted.
        """


class _Linear(Link):
    def __init__(self, layer: nn.Linear) -> None:
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, inputs: Tensor) -> Tensor:
        self.inputs = inputs
        weight = self.weight.t()
        return inputs.mm(weight) if self.bias is None else torch.addmm(self.bias, inputs, weight)

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        if self.bias is not None:
            torch.sum(gradient, 0, out=_grad_of(self.bias))
        torch.mm(gradient.t(), self.inputs, out=_grad_of(self.weight))
        return gradient.mm(self.weight) if wanted else None


class _BatchNorm(Link):
    def __init__(self, layer: nn.BatchNorm1d) -> None:
        self.layer = layer

    def forward(self, inputs: Tensor) -> Tensor:
        norm = self.layer
        assert norm.num_batches_tracked is not None
        norm.num_batches_tracked.add_(1)
        self.inputs = inputs
        outputs, self.mean, self.inverse_deviation = aten.native_batch_norm(
            inputs, norm.weight, norm.bias, norm.running_mean, norm.running_var, True, norm.momentum, norm.eps
        )
        normed: Tensor = outputs
        return normed

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        norm = self.layer
        mask = [wanted, norm.weight.requires_grad, norm.bias.requires_grad]
        by_inputs: Tensor | None
        by_inputs, by_weight, by_bias = aten.native_batch_norm_backward(
            *(gradient, self.inputs, norm.weight, norm.running_mean, norm.running_var),
            *(self.mean, self.inverse_deviation, True, norm.eps, mask),
        )
        norm.weight.grad, norm.bias.grad = by_weight, by_bias
        return by_inputs


class _Dropout(Link):
    def __init__(self, layer: nn.Dropout) -> None:
        self.keep = 1 - layer.p

    def forward(self, inputs: Tensor) -> Tensor:
        self.noise = bernoulli_noise(inputs, self.keep).div_(self.keep)
        return inputs * self.noise

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        return gradient * self.noise


class _AlphaDropout(Link):
    """Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017."""

    ALPHA = 1.7580993408473766
    """How far below 0 a SELU goes."""

    def __init__(self, layer: nn.AlphaDropout) -> None:
        self.drop = layer.p
        self.keep = 1 - layer.p
        self.scale = 1 / ((self.ALPHA**2 * self.drop + 1) * self.keep) ** 0.5

    def forward(self, inputs: Tensor) -> Tensor:
        noise = bernoulli_noise(inputs, self.keep)
        low = self.ALPHA * self.scale
        shift = noise.add(-1).mul_(low).add_(low * self.drop)
        self.noise = noise.mul_(self.scale)
        return (inputs * self.noise).add_(shift)

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        return gradient * self.noise


class _Activation(Link):
    """One whose derivative is known from its input or from its output."""

    def __init__(
        self, function: nn.Module, derivative: Callable[[Tensor, Tensor], Tensor], of_output: bool = True
    ) -> None:
        self.function = function
        self.derivative = derivative
        self.of_output = of_output

    def forward(self, inputs: Tensor) -> Tensor:
        outputs: Tensor = self.function.forward(inputs)
        self.known = outputs if self.of_output else inputs
        return outputs

    def backward(self, gradient: Tensor, wanted: bool) -> Tensor | None:
        return self.derivative(gradient, self.known)


SELU = (1.6732632423543772, 1.0507009873554805)
"""α and λ."""


def _link(layer: nn.Module) -> Link | None:
    """Return what goes forwards and backwards through a layer, or None where autograd has to."""
    kind = type(layer)  # and no subclass, which may do something else
    if isinstance(layer, nn.Linear) and kind is nn.Linear:
        return _Linear(layer)
    if isinstance(layer, nn.BatchNorm1d) and kind is nn.BatchNorm1d:
        plain = layer.affine and layer.num_batches_tracked is not None and layer.momentum is not None
        return _BatchNorm(layer) if plain else None
    if isinstance(layer, nn.Dropout) and kind is nn.Dropout:
        return _Dropout(layer)
    if isinstance(layer, nn.AlphaDropout) and kind is nn.AlphaDropout:
        return _AlphaDropout(layer)
    if isinstance(layer, nn.ReLU):
        return _Activation(layer, lambda gradient, outputs: aten.threshold_backward(gradient, outputs, 0))
    if isinstance(layer, nn.Sigmoid):
        return _Activation(layer, aten.sigmoid_backward)
    if isinstance(layer, nn.Tanh):
        return _Activation(layer, aten.tanh_backward)
    if isinstance(layer, nn.SELU):
        alpha, scale = SELU
        return _Activation(layer, lambda g, x: aten.elu_backward(g, alpha, scale, 1, False, x), of_output=False)
    if isinstance(layer, nn.ELU):
        alpha = layer.alpha
        return _Activation(layer, lambda g, x: aten.elu_backward(g, alpha, 1, 1, False, x), of_output=False)
    if isinstance(layer, nn.LeakyReLU):
        slope = layer.negative_slope
        return _Activation(layer, lambda g, x: aten.leaky_relu_backward(g, x, slope, False), of_output=False)
    return None


class Chain:
    """Layers one after the other, from images to logits, trained by cross-entropy.

    Args:
        links: From the bottom up.
    """

    def __init__(self, links: list[Link]) -> None:
        self.links = links

    @classmethod
    def of(cls, layers: Iterable[nn.Module]) -> Chain | None:
        """Return the chain of some layers, the first of which may flatten, or None where autograd has to do it.

        It has to where a layer is unknown here, is frozen, stands in evaluation mode, or where something is hooked to
        it.
        """
        links: list[Link] = []
        for place, layer in enumerate(layers):
            frozen = isinstance(layer, nn.Linear) and not all(each.requires_grad for each in layer.parameters())
            hooked = any(value for name, value in vars(layer).items() if name.endswith("_hooks"))
            if frozen or hooked or not layer.training:
                return None
            if place == 0 and isinstance(layer, nn.Flatten):
                continue
            if isinstance(layer, nn.Dropout | nn.AlphaDropout) and not layer.p:
                continue
            link = _link(layer)
            if link is None:
                return None
            links.append(link)
        return cls(links) if links else None

    @torch.no_grad()
    def gradients(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Set every parameter's ``grad`` to that of the mean cross-entropy.

        Args:
            images: ``(B, …)``.
            labels: int64 ``(B,)``.

        Returns:
            The mean cross-entropy in nats, a scalar, and the logits ``(B, C)``.
        """
        activity = images.flatten(start_dim=1)
        for link in self.links:
            activity = link.forward(activity)
        log_probabilities = torch.log_softmax(activity, 1)
        cost, total_weight = aten.nll_loss_forward(log_probabilities, labels, None, 1, -100)
        one = torch.ones_like(cost)
        gradient: Tensor | None
        gradient = aten.nll_loss_backward(one, log_probabilities, labels, None, 1, -100, total_weight)
        gradient = aten._log_softmax_backward_data(gradient, log_probabilities, 1, activity.dtype)
        for place, link in reversed(list(enumerate(self.links))):
            assert gradient is not None
            gradient = link.backward(gradient, wanted=place > 0)
        return cost, activity


def _grad_of(parameter: Tensor) -> Tensor:
    if parameter.grad is None:
        parameter.grad = torch.empty_like(parameter)
    return parameter.grad
