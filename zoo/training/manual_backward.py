"""Back-propagation written out for a chain of layers, as the lecture draws it: forwards, then back, layer by layer.

Autograd records every operation and finds its way back through the record; for a network this small that costs more
than half of what the arithmetic does. Each layer here calls the kernels that autograd would call, in the same order,
so the gradients are autograd's to the last bit, which is tested. Where the optimizer can, it uses a layer's gradients
before the pass goes on to the layer below.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from zoo.training.dropout_noise import bernoulli_noise
from zoo.training.layerwise_adam import Update

aten = torch.ops.aten


class Link(ABC):
    """A layer that remembers of its way forwards what it needs for the way back."""

    parameters: Sequence[Tensor] = ()
    """Those whose gradients it finds."""

    @abstractmethod
    def forward(self, inputs: Tensor) -> Tensor:
        """Map inputs ``(B, …)`` to outputs ``(B, …)``."""

    @abstractmethod
    def backward(self, gradient: Tensor, wanted: bool, update: Update) -> Tensor | None:
        """From the cost's gradient by the outputs, give the optimizer those by the parameters.

        Args:
            gradient: In the shape of the outputs; it may be overwritten.
            wanted: Whether a layer below asks for the gradient by the inputs.
            update: Takes the gradients by the parameters.

        Returns:
            The gradient by the inputs, if it is wanted.
        """


class _Linear(Link):
    def __init__(self, layer: nn.Linear) -> None:
        self.weight, self.bias = layer.weight, layer.bias
        self.parameters = [layer.weight] if layer.bias is None else [layer.weight, layer.bias]

    def forward(self, inputs: Tensor) -> Tensor:
        self.inputs = inputs
        weight = self.weight.t()
        return inputs.mm(weight) if self.bias is None else torch.addmm(self.bias, inputs, weight)

    def backward(self, gradient: Tensor, wanted: bool, update: Update) -> Tensor | None:
        by_inputs = gradient.mm(self.weight) if wanted else None  # before the weights change
        by_weight, *by_bias = gradients = update.memory(self.parameters)
        if by_bias:
            torch.sum(gradient, 0, out=by_bias[0])
        torch.mm(gradient.t(), self.inputs, out=by_weight)
        update.take(self.parameters, gradients)
        return by_inputs


class _BatchNorm(Link):
    def __init__(self, layer: nn.BatchNorm1d) -> None:
        self.layer = layer
        self.parameters = [each for each in (layer.weight, layer.bias) if each.requires_grad]

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

    def backward(self, gradient: Tensor, wanted: bool, update: Update) -> Tensor | None:
        norm = self.layer
        mask = [wanted, norm.weight.requires_grad, norm.bias.requires_grad]
        by_inputs: Tensor | None
        by_inputs, *by_parameters = aten.native_batch_norm_backward(
            *(gradient, self.inputs, norm.weight, norm.running_mean, norm.running_var),
            *(self.mean, self.inverse_deviation, True, norm.eps, mask),
        )
        update.take(self.parameters, [each for each in by_parameters if each is not None])
        return by_inputs


class _Dropout(Link):
    def __init__(self, layer: nn.Dropout) -> None:
        self.keep = 1 - layer.p

    def forward(self, inputs: Tensor) -> Tensor:
        self.noise = bernoulli_noise(inputs, self.keep).div_(self.keep)
        return inputs * self.noise

    def backward(self, gradient: Tensor, wanted: bool, update: Update) -> Tensor | None:
        return gradient.mul_(self.noise)


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

    def backward(self, gradient: Tensor, wanted: bool, update: Update) -> Tensor | None:
        return gradient.mul_(self.noise)


class _Activation(Link):
    """One whose derivative is known from its input or from its output.

    Args:
        function: From inputs to outputs.
        derivative: Overwrites a gradient by the outputs ``g`` with that by the inputs; the second is what is known.
        of_output: Whether that is the output.
    """

    def __init__(
        self, function: Callable[[Tensor], Tensor], derivative: Callable[[Tensor, Tensor], Tensor], of_output: bool
    ) -> None:
        self.function = function
        self.derivative = derivative
        self.of_output = of_output

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = self.function(inputs)
        self.known = outputs if self.of_output else inputs
        return outputs

    def backward(self, gradient: Tensor, wanted: bool, update: Update) -> Tensor | None:
        return self.derivative(gradient, self.known)


SELU = (1.6732632423543772, 1.0507009873554805)
"""α and λ."""
ACTIVATIONS = (nn.ReLU, nn.Sigmoid, nn.Tanh, nn.SELU, nn.ELU, nn.LeakyReLU)
KNOWN = {nn.Linear, nn.BatchNorm1d, nn.Dropout, nn.AlphaDropout, *ACTIVATIONS}
"""These and no subclasses, which may do something else."""


def _link(layer: nn.Module, below: Link | None) -> Link | None:
    """Return what goes forwards and backwards through a layer, or None where autograd has to.

    Args:
        layer: Any.
        below: The link whose outputs it sees; a weighted sum and its norm have no use for them, and they are
            overwritten.
    """
    over = isinstance(below, _Linear | _BatchNorm)
    if type(layer) not in KNOWN:
        return None
    if isinstance(layer, nn.Linear):
        return _Linear(layer) if all(each.requires_grad for each in layer.parameters()) else None
    if isinstance(layer, nn.BatchNorm1d):
        plain = layer.affine and layer.track_running_stats and layer.momentum is not None
        return _BatchNorm(layer) if plain else None
    if isinstance(layer, nn.Dropout):
        return _Dropout(layer)
    if isinstance(layer, nn.AlphaDropout):
        return _AlphaDropout(layer)
    if isinstance(layer, nn.ReLU):
        back = aten.threshold_backward.grad_input
        return _Activation(torch.relu_ if over else torch.relu, lambda g, y: back(g, y, 0, grad_input=g), True)
    if isinstance(layer, nn.Sigmoid):
        back = aten.sigmoid_backward.grad_input
        return _Activation(torch.sigmoid_ if over else torch.sigmoid, lambda g, y: back(g, y, grad_input=g), True)
    if isinstance(layer, nn.Tanh):
        back = aten.tanh_backward.grad_input
        return _Activation(torch.tanh_ if over else torch.tanh, lambda g, y: back(g, y, grad_input=g), True)
    if isinstance(layer, nn.SELU | nn.ELU):
        alpha, scale = SELU if isinstance(layer, nn.SELU) else (layer.alpha, 1)
        back = aten.elu_backward.grad_input
        function = F.selu if isinstance(layer, nn.SELU) else partial(F.elu, alpha=alpha)
        return _Activation(function, lambda g, x: back(g, alpha, scale, 1, False, x, grad_input=g), False)
    if isinstance(layer, nn.LeakyReLU):
        slope = layer.negative_slope
        back = aten.leaky_relu_backward.grad_input
        function = partial(F.leaky_relu, negative_slope=slope)
        return _Activation(function, lambda g, x: back(g, x, slope, False, grad_input=g), False)
    return None


class Chain:
    """Layers one after the other, from images to logits, trained by cross-entropy.

    Args:
        links: From the bottom up.
    """

    def __init__(self, links: list[Link]) -> None:
        self.links = links

    @property
    def parameters(self) -> list[Tensor]:
        """Those that a step changes."""
        return [parameter for link in self.links for parameter in link.parameters]

    @classmethod
    def of(cls, layers: Iterable[nn.Module]) -> Chain | None:
        """Return the chain of some layers, the first of which may flatten, or None where autograd has to do it.

        It has to where a layer is unknown here, is frozen, stands in evaluation mode or shares its weights with
        another. Hooks are not called: see `is_hooked`.
        """
        links: list[Link] = []
        for place, layer in enumerate(layers):
            if not layer.training:
                return None
            if place == 0 and isinstance(layer, nn.Flatten):
                continue
            if isinstance(layer, nn.Dropout | nn.AlphaDropout) and not layer.p:
                continue
            link = _link(layer, links[-1] if links else None)
            if link is None:
                return None
            links.append(link)
        chain = cls(links)
        return chain if links and len(set(chain.parameters)) == len(chain.parameters) else None

    @torch.no_grad()
    def step(self, images: Tensor, labels: Tensor, update: Update) -> tuple[Tensor, Tensor]:
        """Make the mean cross-entropy smaller.

        Args:
            images: ``(B, …)``.
            labels: int64 ``(B,)``.
            update: Makes the step from the gradients.

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
            gradient = link.backward(gradient, place > 0, update)
        update.step()
        return cost, activity


def is_hooked(network: nn.Module) -> bool:
    """Whether something is to be called when a part of a network is used, or when a weight's gradient is there."""
    owners = (*network.modules(), *network.parameters())
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    own = any(getattr(owner, name, None) for owner in owners for name in (*names, "_post_accumulate_grad_hooks"))
    return own or bool(nn.modules.module._has_any_global_hook())
