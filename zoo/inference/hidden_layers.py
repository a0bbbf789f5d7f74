"""What a network's hidden layers make of images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from zoo.layers.activations import ACTIVATIONS
from zoo.models import BaggedEnsemble, Classifier
from zoo.models.greedy_pretraining import GreedyPretraining


def single_network(model: Classifier) -> Classifier:
    """Return a network with layers of its own: of an ensemble its first member, and any other as it is."""
    return model.members()[0] if isinstance(model, BaggedEnsemble) else model


def hidden_outputs(model: Classifier, images: Tensor) -> dict[str, Tensor]:
    """Return the output of every hidden layer, after its activation function, by its place: ``layer 1`` and so on.

    Args:
        model: The network, in eval mode; of an ensemble, a single member.
        images: ``(B, 1, 28, 28)`` in [0, 1].

    Returns:
        From input to output, ``(B, units)``; of a convolution ``(B, channels, height, width)``; and of a recurrent
        layer ``(B, 28, units)``, for each row of the image. Empty where the network has no hidden layer.
    """
    if isinstance(model, GreedyPretraining):
        return _numbered(model.hidden_activations(images))
    found: list[Tensor] = []

    def keep(module: nn.Module, inputs: Any, output: Any) -> None:
        found.append(output[0] if isinstance(module, nn.RNNBase) else output)

    layers = (*ACTIVATIONS.values(), nn.RNNBase)
    hooks = [module.register_forward_hook(keep) for module in model.modules() if isinstance(module, layers)]
    try:
        with torch.no_grad():
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    return _numbered(found)


def first_weights(model: Classifier) -> Tensor:
    """Return the weights of the first layer, one row for each unit.

    Args:
        model: The network; of an ensemble, a single member.

    Returns:
        ``(units, 28, 28)`` where each unit sees the whole image; ``(filters, height, width)`` of a convolution; and
        ``(gates · units, 28)`` of a recurrent layer, which sees a row of the image at a time.
    """
    if isinstance(model, GreedyPretraining):
        return model.rbms[0].weight.detach().T.reshape(-1, 28, 28)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            return module.weight.detach().reshape(-1, 28, 28)
        if isinstance(module, nn.Conv2d):
            return module.weight.detach()[:, 0]
        if isinstance(module, nn.RNNBase):
            return module.get_parameter("weight_ih_l0").detach()
    raise TypeError(f"{type(model).__name__} has no layer that is known here")


def _numbered(outputs: list[Tensor]) -> dict[str, Tensor]:
    return {f"layer {number}": output for number, output in enumerate(outputs, start=1)}
