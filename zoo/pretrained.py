"""Networks by name: a new one from a member's config, or the trained one that ships."""

from __future__ import annotations

import hashlib
from typing import Any

import yaml

from zoo.checkpoint import load_into, read_checkpoint
from zoo.class_paths import import_class
from zoo.errors import UsageError
from zoo.members import list_models, model_info
from zoo.models import Classifier


def create_model(name: str, **overrides: Any) -> Classifier:
    """Return a new, untrained network as the member's config describes it.

    Args:
        name: A member, one of ``zoo.list_models()``.
        **overrides: Arguments of the member's class that replace the config's, for example ``dropout=0.5``.

    Raises:
        UsageError: A `ValueError`: the member is unknown, or an argument's value is wrong.
        TypeError: The class takes no such argument.
    """
    model = yaml.safe_load(model_info(name).config.read_text(encoding="utf-8"))["model"]
    return _zoo_class(model["class_path"])(**{**model.get("init_args", {}), **overrides})


def load_pretrained(name: str) -> Classifier:
    """Return a member's trained network, on the CPU and in eval mode.

    The file comes with the package; its SHA-256 is compared with the index before anything in it is read.

    Args:
        name: A member, one of ``zoo.list_models(pretrained=True)``.

    Returns:
        A `LightningModule`: ``model(images)`` maps float32 ``(B, 1, 28, 28)`` in [0, 1] to logits ``(B, 10)``.

    Raises:
        UsageError: A `ValueError`: the member is unknown or ships no trained network, or its file is not the one
            that was published.
    """
    info = model_info(name)
    if info.figures is None:
        raise UsageError(
            f"{name} ships no trained network; these do: {', '.join(list_models(pretrained=True)) or 'none'}. "
            f"Train it with `zoo fit --config {name}`."
        )
    if not info.checkpoint.is_file():
        raise UsageError(f"{info.checkpoint} is missing: install the package again.")
    if hashlib.sha256(info.checkpoint.read_bytes()).hexdigest() != info.figures["sha256"]:
        raise UsageError(f"{info.checkpoint} is not the file that was published: its sha256 differs from the index.")
    checkpoint = read_checkpoint(info.checkpoint)
    model = _zoo_class(str(checkpoint.class_path))(**checkpoint.arguments)
    load_into(model, checkpoint)
    return model.eval()


def _zoo_class(class_path: str) -> type[Classifier]:
    if not class_path.startswith("zoo."):
        raise UsageError(f"{class_path} is not a class of this zoo.")
    found = import_class(class_path)
    if not (isinstance(found, type) and issubclass(found, Classifier)):
        raise UsageError(f"{class_path} is not a classifier.")
    return found
