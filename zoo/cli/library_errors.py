"""Telling a user's mistake, found by a library, from a fault of the program's."""

from __future__ import annotations

import os
from types import TracebackType

from lightning_fabric.utilities.exceptions import MisconfigurationException

from zoo.cli.parser import find_usage_error, one_sentence
from zoo.utils.errors import UsageError

# What these raise themselves is about settings; what torch raises inside of a network is a fault to be looked at.
_SETTERS = ("pytorch_lightning", "lightning_fabric", "lightning_utilities", "jsonargparse")


def as_usage_error(error: Exception) -> UsageError | None:
    """Return the sentence for a user whose settings a library refuses, or None when it is no user's mistake.

    With the environment variable ``ZOO_TRACEBACK`` nothing is translated, and Python shows where it happened.
    """
    if usage := find_usage_error(error):
        return usage
    if os.environ.get("ZOO_TRACEBACK"):
        return None
    if isinstance(error, OSError) and not isinstance(error, ConnectionError) and error.filename:
        return UsageError(f"Cannot use {error.filename}: {error.strerror or error}; name another place.")
    text = one_sentence(str(error)) or type(error).__name__
    if "No supported gpu backend found" in text:
        return UsageError("There is no GPU here that torch can use: take --trainer.accelerator cpu, or leave it out.")
    if isinstance(error, MisconfigurationException) or "Does not validate against" in str(error):
        return UsageError(text)
    if _innermost_module(error.__traceback__).split(".")[0] in _SETTERS:
        return UsageError(text if isinstance(error, ValueError | TypeError) else f"{type(error).__name__}: {text}")
    return None


def _innermost_module(trace: TracebackType | None) -> str:
    name = ""
    while trace is not None:
        name = str(trace.tb_frame.f_globals.get("__name__", ""))
        trace = trace.tb_next
    return name
