"""The statistics that batch norm uses after training: means over the training images in place of running averages."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from zoo.training.noise import without_dropout


def batch_norms(parts: Iterable[nn.Module]) -> list[_NormBase]:
    """Return the layers of batch norm among some modules that keep running averages."""
    return [part for part in parts if isinstance(part, _NormBase) and part.track_running_stats]


@torch.no_grad()
def refit_batch_norm(
    network: nn.Module, parts: Iterable[nn.Module], forward: Callable[[Tensor], object], batches: Iterable[Tensor]
) -> None:
    """Replace the running averages of batch norm by means of the batches' statistics for the weights as they are.

    As `torch.optim.swa_utils.update_bn`, but without dropout, because the network is used without it, and for layers
    that count no batches too. No weight and no random generator changes, so that the result is a function of the
    weights and the images.

    Args:
        network: The network; its modes are as before afterwards.
        parts: Its modules.
        forward: Calls it.
        batches: Images, ``(B, 1, 28, 28)`` each.
    """
    parts = list(parts)
    layers = batch_norms(parts)
    modes = {module: module.training for module in (*network.modules(), *parts)}
    momenta = [(layer, layer.momentum) for layer in layers]
    try:
        network.train()
        with without_dropout(parts):
            for number, images in enumerate(batches, start=1):
                for layer in layers:
                    layer.momentum = 1 / number  # of the running mean: the first batch replaces what was there
                forward(images)
    finally:
        for layer, momentum in momenta:
            layer.momentum = momentum
        for module, mode in modes.items():
            module.training = mode
