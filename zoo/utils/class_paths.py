"""Dotted class paths, by which configs and checkpoints name classes, and the arguments of classes."""

from __future__ import annotations

import importlib
import inspect
import re
import sys
from pathlib import Path
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


def where_it_was_looked_for(message: str) -> str:
    """Replace Python's message about a module or name that does not exist by one that says where it was looked for."""
    message = re.sub(
        r"No module named '([\w.]+)'(; '[\w.]+' is not a package)?",
        lambda found: f"There is no module {found[1]}, neither among the installed packages nor in {Path.cwd()}",
        message,
    )
    return re.sub(
        r"(?:partially initialized )?module '([\w.]+)' has no attribute '(\w+)'",
        lambda found: f"There is no class {found[2]} in the module {found[1]}{_origin_of(found[1])}",
        message,
    )


def _origin_of(module: str) -> str:
    """Return ``, which is FILE``, or an empty string for a module that has none or is not imported."""
    file = getattr(sys.modules.get(module), "__file__", None)
    return f", which is {file}" if file else ""


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
