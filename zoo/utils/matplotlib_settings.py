"""matplotlib without the settings file of the current folder."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any


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
                with contextlib.chdir(Path(__file__).parent):
                    execute(module)

            loader.exec_module = exec_module
        return spec
