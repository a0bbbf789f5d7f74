"""One file of Python from several modules of the package, for programs that do not have the package."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Sequence

from zoo.utils.files import MARKER
from zoo.version import __version__

PREPROCESSING = (
    "zoo.data.array_filters",
    "zoo.data.picture_colors",
    "zoo.data.mnist_format",
    "zoo.data.plain_pictures",
    "zoo.data.photographs.runs",
    "zoo.data.photographs.lines",
    "zoo.data.photographs.frames",
    "zoo.data.photographs.lighting",
    "zoo.data.photographs.reading",
    "zoo.data.preprocessing_core",
)
"""The modules of ``preprocess.py``: each imports those before it, NumPy, Pillow, and OpenCV inside of functions."""


def bundle(modules: Sequence[str]) -> str:
    """Return the source of modules as one module, with the docstring of the last one.

    Args:
        modules: Dotted names. Each module may import only names from those before it, and what is installed elsewhere.

    Raises:
        ValueError: Two modules give different things the same name, or one imports another part of the package.
    """
    imports: dict[str, None] = {}
    bodies: list[str] = []
    defined: dict[str, str] = {}
    docstring = ""
    for name in modules:
        source = inspect.getsource(importlib.import_module(name))
        tree = ast.parse(source)
        lines = source.splitlines()
        docstring, start = ast.get_docstring(tree, clean=False) or "", tree.body[0].end_lineno or 0
        for node in tree.body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                start = node.end_lineno or 0
                imports |= dict.fromkeys(_imports(node, modules))
                continue
            for defined_name in _names(node):
                text = ast.unparse(node)
                if defined.setdefault(defined_name, text) != text:
                    raise ValueError(f"{name} defines {defined_name}, as another module does.")
        bodies.append("\n".join(lines[start:]).strip("\n"))
    first = sorted(line for line in imports if line.startswith("from __future__"))
    rest = sorted(line for line in imports if not line.startswith("from __future__"))
    header = f"# {MARKER}, version {__version__}. Do not edit: `zoo export` writes it."
    head = "\n".join([f'"""{docstring}"""', "", header, "", *first, "", *rest])
    return "\n\n\n".join([head, *bodies]) + "\n"


def _imports(node: ast.Import | ast.ImportFrom, modules: Sequence[str]) -> list[str]:
    """Return the lines that import the same, without what the modules import from each other."""
    if isinstance(node, ast.Import):
        return [f"import {alias.name}" + (f" as {alias.asname}" if alias.asname else "") for alias in node.names]
    if node.module in modules:
        return []
    if (node.module or "").split(".")[0] == __name__.split(".")[0]:
        raise ValueError(f"{node.module} is no part of the bundle.")
    return [f"from {node.module} import {alias.name}" for alias in node.names]


def _names(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Assign):
        return [target.id for target in node.targets if isinstance(target, ast.Name)]
    return []
