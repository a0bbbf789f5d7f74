"""The layout of the package: rooms, one above the other, and imports that run downwards only."""

from __future__ import annotations

import ast
import graphlib
import re
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import zoo

PACKAGE = Path(zoo.__file__).parent
SOURCE = PACKAGE.parent
ROOMS = (
    "api",
    "cli",
    "demo",
    "figures",
    "benchmark",
    "sklearn",
    "studies",
    "inference",
    "pretrained",
    "callbacks",
    "models",
    "training",
    "rbm",
    "layers",
    "data",
    "runs",
    "metrics",
    "utils",
)
"""From top to bottom: a module may import from its own room and from the rooms below it."""
ORDER = ("__main__", "__init__", *ROOMS, "version")
"""The rooms with the files at the root: no room uses the public names of ``import zoo``."""
AT_THE_ROOT = {"__init__.py", "__main__.py", "version.py", "py.typed", *ROOMS}
LONGEST = 300
"""Lines in a file."""


def modules_of(package: Path) -> dict[str, Path]:
    """Return the modules of a package, by their dotted names."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(module: str, modules: dict[str, Path], deferred: bool = True) -> Iterator[tuple[int, str]]:
    """Yield line and module of everything that a module imports from its own package.

    Args:
        module: The module's name.
        modules: All modules of the package.
        deferred: Whether to include what does not run when the module is loaded: imports inside functions and under
            ``if TYPE_CHECKING``.
    """
    path = modules[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes_of(ast.parse(path.read_text(encoding="utf-8")), deferred):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                base = ".".join([*package.split(".")[: len(package.split(".")) - node.level + 1], *base.split()])
            members = [f"{base}.{alias.name}" for alias in node.names]
            names = [member if member in modules else base for member in members]
        for name in dict.fromkeys(names):
            if name.split(".")[0] == module.split(".")[0]:
                yield getattr(node, "lineno", 0), name


def nodes_of(tree: ast.AST, deferred: bool) -> Iterator[ast.AST]:
    """Yield the nodes of a tree, with or without those that do not run when the module is loaded."""
    for node in ast.iter_child_nodes(tree):
        yield node
        if deferred or not is_deferred(node):
            yield from nodes_of(node, deferred)


def is_deferred(node: ast.AST) -> bool:
    """Return whether a node is a function or an ``if TYPE_CHECKING``."""
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def level_of(module: str, order: Sequence[str]) -> int:
    """Return how far down a module lies; the file at the root that is the package itself is ``__init__``."""
    return order.index([*module.split("."), "__init__"][1])


def upward_imports(package: Path, order: Sequence[str]) -> list[str]:
    """Return every import of a module from a higher room, as ``importer:line imports module``."""
    modules = modules_of(package)
    return [
        f"{module}:{line} imports {name}"
        for module in modules
        for line, name in imports_of(module, modules)
        if level_of(name, order) < level_of(module, order)
    ]


def import_cycle(package: Path) -> list[str]:
    """Return modules that import each other in a cycle while they are loaded; empty when there is none."""
    modules = modules_of(package)
    graph = {module: {name for _, name in imports_of(module, modules, deferred=False)} for module in modules}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        cycle: list[str] = error.args[1]
        return cycle
    return []


def test_imports_run_downwards_only() -> None:
    assert upward_imports(PACKAGE, ORDER) == []


def test_no_modules_import_each_other_in_a_cycle() -> None:
    assert import_cycle(PACKAGE) == []


def test_only_rooms_lie_at_the_root() -> None:
    assert {path.name for path in PACKAGE.iterdir() if not path.name.startswith((".", "__pycache__"))} == AT_THE_ROOT


def test_no_file_is_long() -> None:
    lengths = {
        str(path.relative_to(SOURCE)): len(path.read_text(encoding="utf-8").splitlines())
        for path in modules_of(PACKAGE).values()
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def write_package(folder: Path, files: dict[str, str]) -> Path:
    """Write a package ``tree`` with the rooms ``top``, ``middle`` and ``bottom``."""
    package = folder / "tree"
    for name in ("__init__.py", "top/__init__.py", "middle/__init__.py", "bottom/__init__.py"):
        (package / name).parent.mkdir(parents=True, exist_ok=True)
        (package / name).touch()
    for name, content in files.items():
        (package / name).write_text(content, encoding="utf-8")
    return package


@pytest.mark.parametrize(
    ("statement", "imported"),
    [
        ("import tree.top.one", "tree.top.one"),
        ("from tree.top.one import thing", "tree.top.one"),
        ("from tree.top import one", "tree.top.one"),
        ("from tree import top", "tree.top"),
        ("from tree import thing", "tree"),
        ("from ..top import one", "tree.top.one"),
        ("from ..top.one import thing", "tree.top.one"),
        ("def function():\n    from tree.top import one", "tree.top.one"),
        ("if TYPE_CHECKING:\n    from tree.top import one", "tree.top.one"),
    ],
)
def test_an_upward_import_is_found(statement: str, imported: str, tmp_path: Path) -> None:
    files = {"top/one.py": "thing = 1", "middle/two.py": statement, "bottom/three.py": "import os"}
    package = write_package(tmp_path, files)
    line = statement.count("\n") + 1
    order = ("__init__", "top", "middle", "bottom")
    assert upward_imports(package, order) == [f"tree.middle.two:{line} imports {imported}"]


@pytest.mark.parametrize(
    "statement",
    [
        "import tree.bottom.three",
        "from tree.bottom import three",
        "from ..bottom import three",
        "from . import four",
        "from tree.middle import four",
        "import os\nfrom treehouse import top",
    ],
)
def test_a_downward_import_is_allowed(statement: str, tmp_path: Path) -> None:
    files = {"middle/two.py": statement, "middle/four.py": "", "bottom/three.py": ""}
    package = write_package(tmp_path, files)
    assert upward_imports(package, ("__init__", "top", "middle", "bottom")) == []
    assert import_cycle(package) == []


@pytest.mark.parametrize(
    ("block", "found"),
    [("def function():", False), ("if TYPE_CHECKING:", False), ("class Two:", True), ("try:", True)],
)
def test_a_cycle_is_found_where_modules_are_loaded(block: str, found: bool, tmp_path: Path) -> None:
    content = f"{block}\n    import tree.top.one\n" + ("finally:\n    pass" if block == "try:" else "")
    package = write_package(tmp_path, {"top/one.py": "from tree.top import two", "top/two.py": content})
    assert set(import_cycle(package)) == ({"tree.top.one", "tree.top.two"} if found else set())


def test_contributing_names_the_rooms_in_order_and_files_that_exist() -> None:
    text = (SOURCE / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert tuple(re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)) == ROOMS
    named = re.findall(r"`((?:zoo|tests|configs|checkpoints|\.ci|\.github)/[\w./-]*)`", text)
    assert len(named) > 20
    assert [name for name in named if not (SOURCE / name).exists()] == []


def test_the_oldest_versions_in_ci_are_the_lower_bounds() -> None:
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = ("demo", "studies", "export", "bench", "parquet", "tracking", "hub", "completion", "sklearn")
    required = [*project["dependencies"]]
    for extra in extras:
        required += project["optional-dependencies"][extra]
    bounds = dict(re.findall(r"^([\w-]+)(?:\[\w+\])?>=([\d.]+)", "\n".join(required), flags=re.MULTILINE))
    text = (SOURCE / "tests" / "constraints-oldest.txt").read_text(encoding="utf-8")
    pinned = dict(re.findall(r"^([\w-]+)==([\d.]+)", text, flags=re.MULTILINE))
    assert pinned.keys() == bounds.keys()
    assert [name for name, bound in bounds.items() if not f"{pinned[name]}.".startswith(f"{bound}.")] == []
