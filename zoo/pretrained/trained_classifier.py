"""A trained classifier with what is known of it besides its weights."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from zoo.data.base import DIGITS
from zoo.models import Classifier
from zoo.utils.checks import join_names
from zoo.utils.errors import UsageError


@dataclass(frozen=True)
class TrainedClassifier:
    """A trained classifier in eval mode, with its class names, its temperature and the format of its input images."""

    model: Classifier
    class_names: tuple[str, ...]
    mnist_like: bool = True
    """Whether it was trained on images in MNIST's format, as `zoo.preprocess` returns them. Otherwise the images were
    converted to grey and their brightness was kept."""
    temperature: float = 1.0
    """What divides its logits for calibrated probabilities; 1 for a network that does not ship."""
    file_name: str = ""
    """The name of the checkpoint, without its folder."""
    sha256: str = ""
    """The SHA-256 of the checkpoint, in hexadecimal digits."""

    def probabilities(self, images: Tensor) -> Tensor:
        """Return the calibrated probabilities ``(B, C)`` for images ``(B, 1, 28, 28)`` in [0, 1]."""
        return self.logits(images).softmax(dim=1)

    def logits(self, images: Tensor) -> Tensor:
        """Return the logits ``(B, C)`` of the calibrated probabilities."""
        logits: Tensor = self.model(images)
        return logits / self.temperature

    def check_digits(self, name: str, purpose: str) -> None:
        """Check that the classes are the ten digits.

        Args:
            name: The name of the network, for the message.
            purpose: What needs the digits, for the message.

        Raises:
            UsageError: They are not.
        """
        if self.class_names != DIGITS:
            raise UsageError(
                f"{name} has the classes {join_names(self.class_names)}: {purpose} needs the ten digits, and "
                "`zoo classify IMAGE --model FILE.ckpt` takes a network with any classes."
            )
