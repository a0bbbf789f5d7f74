"""Dotted class paths, by which configs and checkpoints name classes, and the arguments of classes."""

from __future__ import annotations

import importlib
import inspect
from typing import Any


def class_path_of(cls: type) -> str:
    """Return the dotted path of a class, ``module.qualname``."""
    return f"{cls.__module__}.{cls.__qualname__}"


def import_class(class_path: str) -> type:
    """Import a class by its dotted path.

    Importing runs code, so the path must come from the user or from the package, never from a checkpoint.

    Raises:
        ImportError: There is no such module.
        AttributeError: The module has no such name.
    """
    module, _, name = class_path.rpartition(".")
    cls: type = getattr(importlib.import_module(module), name)
    return cls


def default_arguments(cls: type) -> dict[str, Any]:
    """Return the default values of a class's arguments by name, without those that have no default."""
    return {name: each.default for name, each in parameters_of(cls).items() if each.default is not each.empty}


def parameters_of(cls: type) -> dict[str, inspect.Parameter]:
    """Return the arguments of a class by name, including those of its parent classes."""
    parameters: dict[str, inspect.Parameter] = {}
    for parent in reversed(cls.__mro__):
        if "__init__" in vars(parent) and parent.__module__.partition(".")[0] not in ("builtins", "torch"):
            parameters |= inspect.signature(parent.__init__).parameters  # type: ignore[misc]
    return parameters
