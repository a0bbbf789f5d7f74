"""The ways to name a trained network: a member, a checkpoint, an address on the hub. It does not import torch."""

from __future__ import annotations

import os
from pathlib import Path

from zoo.pretrained.registry import list_models, model_info
from zoo.utils.errors import UsageError


def is_checkpoint(source: str) -> bool:
    """Return whether a network is given as a file and not as a member's name, which has priority."""
    return source not in list_models() and os.path.isfile(source)


def name_of_checkpoint(path: Path) -> str:
    """Return the run's folder for a checkpoint in one, as in ``dropout/version_0``, and else the name of the file."""
    folder = path.absolute().parent
    return f"{folder.parent.parent.name}/{folder.parent.name}" if folder.name == "checkpoints" else path.stem


def on_hub(source: str) -> bool:
    """Return whether a network is given by its address on the Hugging Face hub, ``hf:OWNER/REPO``."""
    return source.startswith("hf:")


def check_source(source: str) -> None:
    """Check that a network exists, without reading it: a member's name, or the path of a checkpoint.

    An address on the hub is not looked up.

    Raises:
        UsageError: It does not.
    """
    if is_checkpoint(source) or on_hub(source):
        return
    if os.path.isdir(source) and source not in list_models():
        raise UsageError(f"{source} is a folder: name a checkpoint in it.")
    if source.endswith(".ckpt"):
        raise UsageError(f"There is no checkpoint {source}.")
    model_info(source)
