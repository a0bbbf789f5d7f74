"""Classes as dotted paths, the form in which configs and checkpoints name them."""

from __future__ import annotations

import importlib
import inspect
from typing import Any


def class_path_of(cls: type) -> str:
    """Return the dotted path under which a class is defined."""
    return f"{cls.__module__}.{cls.__qualname__}"


def import_class(class_path: str) -> type:
    """Import a class by its path; only ever to be called with a path that the user wrote or the zoo ships.

    Raises:
        ImportError: There is no such module.
        AttributeError: The module has no such name.
    """
    module, _, name = class_path.rpartition(".")
    found: type = getattr(importlib.import_module(module), name)
    return found


def default_arguments(cls: type) -> dict[str, Any]:
    """Return the defaults of a class's arguments."""
    return {name: each.default for name, each in parameters_of(cls).items() if each.default is not each.empty}


def parameters_of(cls: type) -> dict[str, inspect.Parameter]:
    """Return a class's arguments by name, those that it hands on to its parents included."""
    found: dict[str, inspect.Parameter] = {}
    for parent in reversed(cls.__mro__):
        if "__init__" in vars(parent) and parent.__module__.partition(".")[0] not in ("builtins", "torch"):
            found |= inspect.signature(parent.__init__).parameters  # type: ignore[misc]
    return found
