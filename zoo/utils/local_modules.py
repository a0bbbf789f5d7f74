"""Import of a user's own modules from the current folder, and of nothing else there.

The current folder is not put on ``sys.path``: libraries probe for optional modules such as ``tensorflow``, and a file
of that name in the current folder would be run.
"""

from __future__ import annotations

import multiprocessing.util
import sys
import traceback
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import CodeType, FrameType, ModuleType
from typing import Any
from unittest.mock import patch

from zoo.utils.errors import UsageError
from zoo.utils.matplotlib_settings import ignore_local_matplotlibrc

IMPORT_MACHINERY = ("importlib", "_frozen_importlib", "_frozen_importlib_external")


class LocalModules(MetaPathFinder):
    """Finds top-level modules in a folder, but only on request of certain code.

    The code is that of the given functions, and that of modules that were found before, so that they can import their
    neighbors. Submodules of packages are found by Python itself.

    Args:
        folder: The folder.
        importers: Functions that import what the user has named.
        names: Modules that any code may import.
    """

    def __init__(
        self, folder: str, importers: Collection[Callable[..., Any]] = (), names: Collection[str] = ()
    ) -> None:
        self.folder = folder
        self.found: dict[str, str] = {}
        """Origins of the modules found, by name."""
        self._importers = {importer.__code__ for importer in importers}
        self._names = set(names)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the spec of a top-level module in the folder if the importing code may have it."""
        if path is not None:
            return None
        code, module = _importing_code()
        is_named = fullname in self._names or code in self._importers
        if not is_named and module.partition(".")[0] not in self.found:
            return None
        sys.path_importer_cache.pop(self.folder, None)  # a file may be newer than what Python remembers of the folder
        spec = PathFinder.find_spec(fullname, [self.folder])
        if spec is None:
            return None
        self.found[fullname] = spec.origin or f"the folder {fullname}"
        if is_named and spec.loader is not None:
            _report_failure_of(spec)
        return spec

    def __reduce__(self) -> tuple[Any, ...]:
        """Unpickle as a finder of the modules that this one has found, which is at work at once."""
        return _install_finder, (self.folder, list(self.found))


def _install_finder(folder: str, names: list[str]) -> LocalModules:
    finder = LocalModules(folder, names=names)
    sys.meta_path.append(finder)
    ignore_local_matplotlibrc()
    return finder


@contextmanager
def local_modules(folder: str, importers: Collection[Callable[..., Any]]) -> Iterator[None]:
    """Find modules in a folder as `LocalModules` does, also in processes that are started meanwhile.

    At the end the modules found are removed from ``sys.modules``. Otherwise they would shadow modules of the same name
    in the folder of the next command.

    Args:
        folder: The folder.
        importers: Functions that import what the user has named.
    """
    finder = LocalModules(folder, importers)
    sys.meta_path.append(finder)  # the last, so that no file here shadows an installed package
    try:
        with _passed_to_children(finder):
            yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] in finder.found]:
            _retire_classes_of(sys.modules.pop(name))
        sys.path_importer_cache.pop(folder, None)


@contextmanager
def _passed_to_children(finder: LocalModules) -> Iterator[None]:
    """Let processes that multiprocessing spawns have the finder before they unpickle objects of the user's classes.

    The configuration of the current process is the first that is pickled for a new one. The option ``-P`` keeps the
    current folder from ``sys.path``, where it would be the first until the new process has received that of this one.
    """
    util: Any = multiprocessing.util
    options = util._args_from_interpreter_flags
    configuration: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    with (
        patch.object(util, "_args_from_interpreter_flags", lambda: [*options(), "-P"]),
        patch.dict(configuration, zoo_local_modules=finder),
    ):
        yield


def is_retired(cls: type) -> bool:
    """Return whether a class is of a module that an earlier command has found, and that was removed at its end."""
    return cls.__module__ == __name__


def _retire_classes_of(module: ModuleType) -> None:
    """Mark the classes of a removed module as local ones, which cannot be named.

    They stay in memory as subclasses of others, among which jsonargparse looks for a class by its name.
    """
    for value in vars(module).values():
        if isinstance(value, type) and value.__module__ == module.__name__:
            value.__module__, value.__qualname__ = __name__, f"{module.__name__}.<locals>.{value.__qualname__}"


def _importing_code() -> tuple[CodeType | None, str]:
    """Return the code that asks for a module, and the name of its own module."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        module = str(frame.f_globals.get("__name__", ""))
        if module != __name__ and module.partition(".")[0] not in IMPORT_MACHINERY:
            return frame.f_code, module
        frame = frame.f_back
    return None, ""


def _report_failure_of(spec: ModuleSpec) -> None:
    """Let a module that cannot be executed raise a `UsageError` that says where it fails.

    An ImportError is left as it is, because libraries handle it.
    """
    loader: Any = spec.loader
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        try:
            execute(module)
        except (ImportError, UsageError):
            raise
        except Exception as error:
            lines = [
                frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == spec.origin
            ]
            where = f"{Path(str(spec.origin)).name}, line {lines[-1]}: " if lines else ""
            raise UsageError(f"{spec.origin} cannot be imported: {where}{type(error).__name__}: {error}.") from error

    loader.exec_module = exec_module
