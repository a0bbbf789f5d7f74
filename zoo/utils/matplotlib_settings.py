"""matplotlib without the settings file of the current folder, and without messages about its own folder."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from zoo.utils.errors import UsageError


def ignore_local_matplotlibrc() -> None:
    """Let matplotlib, when it is imported, not read a ``matplotlibrc`` of the current folder.

    That file has precedence over the user's own, and no setting changes this. torchmetrics imports matplotlib.
    """
    if "matplotlib" not in sys.modules and not any(isinstance(each, _Finder) for each in sys.meta_path):
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds matplotlib as Python does, and lets it be executed in a folder that has no ``matplotlibrc``."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != "matplotlib":
            return None
        spec = PathFinder.find_spec(fullname)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def exec_module(module: ModuleType) -> None:
                sys.meta_path.remove(self)
                if "MATPLOTLIBRC" in os.environ:
                    os.environ["MATPLOTLIBRC"] = os.path.abspath(os.environ["MATPLOTLIBRC"])
                # Without a folder for its settings it uses a temporary one, which it removes. Nobody must know.
                logging.getLogger("matplotlib").setLevel(logging.ERROR)
                with contextlib.chdir(Path(__file__).parent):
                    try:
                        execute(module)
                    except OSError as error:
                        raise UsageError(f"matplotlib finds no folder to write to ({error}): make room.") from error

            loader.exec_module = exec_module
        return spec
