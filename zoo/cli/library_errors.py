"""Distinguishes user mistakes that a library detects from bugs in the program."""

from __future__ import annotations

import os
import re
from types import TracebackType

from lightning_fabric.utilities.exceptions import MisconfigurationException

from zoo.cli.parser import find_usage_error, one_sentence
from zoo.utils.errors import UsageError, unusable_path

# An error raised by these packages concerns the user's settings. An error raised by torch inside a network is a bug.
_CONFIGURATION_PACKAGES = ("pytorch_lightning", "lightning_fabric", "lightning_utilities", "jsonargparse")


def as_usage_error(error: Exception) -> UsageError | None:
    """Convert a library's exception into a `UsageError` when the user's settings caused it.

    If the environment variable ``ZOO_TRACEBACK`` is set, library exceptions are not converted, so that Python prints
    their traceback.

    Args:
        error: The exception that a verb raised.

    Returns:
        The `UsageError`, with a message of one sentence, or None when the exception is not a user's mistake.
    """
    if usage := find_usage_error(error):
        return usage
    if os.environ.get("ZOO_TRACEBACK"):
        return None
    if isinstance(error, OSError) and not isinstance(error, ConnectionError) and error.filename:
        return unusable_path(error)
    text = one_sentence(str(error)) or type(error).__name__
    if "No supported gpu backend found" in text:
        return UsageError("There is no GPU here that torch can use: take --trainer.accelerator cpu, or leave it out.")
    if found := re.search(r"restored a checkpoint with current_epoch=(\d+).*max_epochs=(\d+)", text):
        return UsageError(
            f"The checkpoint is at the end of {found[1]} epochs already, and trainer.max_epochs is {found[2]}: raise "
            "it to go on."
        )
    if isinstance(error, MisconfigurationException) or "Does not validate against" in str(error):
        return UsageError(text)
    if _innermost_module(error.__traceback__).split(".")[0] in _CONFIGURATION_PACKAGES:
        return UsageError(text if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {text}")
    return None


def _innermost_module(traceback: TracebackType | None) -> str:
    """Return the name of the module that raised the exception."""
    name = ""
    while traceback is not None:
        name = str(traceback.tb_frame.f_globals.get("__name__", ""))
        traceback = traceback.tb_next
    return name
