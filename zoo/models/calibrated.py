"""Calibrated probabilities: logits divided by a temperature."""

from __future__ import annotations

from torch import Tensor, nn

from zoo.utils.errors import UsageError


class Calibrated:
    """A forward hook that divides a network's logits by a temperature.

    Args:
        temperature: More than 0.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature

    def __call__(self, module: object, inputs: object, logits: Tensor) -> Tensor:
        """Return the logits of calibrated probabilities."""
        return logits / self.temperature


def check_not_calibrated(network: nn.Module) -> None:
    """Check that a network may be trained: its checkpoints would not keep the temperature, which would fit no longer.

    Raises:
        UsageError: Its logits are divided by a temperature.
    """
    if any(isinstance(hook, Calibrated) for hook in network._forward_hooks.values()):
        raise UsageError(
            "This network is calibrated, and its temperature is that of the weights as they are: to change them, load "
            "it without calibrated=True."
        )
