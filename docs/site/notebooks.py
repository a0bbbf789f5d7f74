"""The notebooks as pages of the site, in two languages, with the outputs of their last execution.

Usage::

    python -m docs.site.notebooks [NAME ...]    # execute the notebooks, some minutes in all

The executed notebooks are kept in ``build/notebooks``. The site shows a notebook that was not executed without outputs.
``NAME.ko.md`` has the Markdown cells in Korean. The code is the same.
"""

from __future__ import annotations

import copy
import sys
import tempfile
import time
import tomllib
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbconvert import MarkdownExporter

SOURCE = Path(__file__).resolve().parent.parent.parent
NOTEBOOKS = SOURCE / "docs" / "notebooks"
EXECUTED = SOURCE / "build" / "notebooks"
NAMES = ("lecture", "inside", "dropout", "rbm", "photo", "own_classes")
"""In the order in which they are read."""
BUTTONS = {
    "en": ("Download this notebook", "Open in Colab"),
    "ko": ("이 노트북 내려받기", "Colab에서 열기(영어)"),
}
"""What the buttons say."""
CODE = "<!-- code -->"
"""Stands for the cells of code between two Markdown cells in the Korean text of a notebook."""
TIMEOUT = 300
"""Seconds that a cell may take."""


def execute(name: str) -> nbformat.NotebookNode:
    """Execute a notebook in an empty folder, and return it with its outputs.

    Raises:
        CellExecutionError: A cell raises an exception.
    """
    book: nbformat.NotebookNode = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(book, timeout=TIMEOUT, resources={"metadata": {"path": folder}}).execute()
    return book


def project_address() -> str:
    """Return the project's address in ``pyproject.toml``, or an empty string if there is none."""
    project = tomllib.loads((SOURCE / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project.get("urls", {}).get("Homepage", "")).rstrip("/")


def korean_cells(name: str) -> list[str]:
    """Return the Markdown cells of a notebook in Korean."""
    text = (NOTEBOOKS / f"{name}.ko.md").read_text(encoding="utf-8")
    return [cell.strip() for cell in text.split(CODE)]


def in_korean(book: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    """Return a copy of a notebook with its Markdown cells in Korean."""
    book = copy.deepcopy(book)
    cells = [cell for cell in book.cells if cell.cell_type == "markdown"]
    for cell, text in zip(cells, korean_cells(name), strict=True):
        cell.source = text
    return book


def buttons(name: str, address: str, is_korean: bool = False) -> str:
    """Return the buttons of a notebook's page: to download it and, if the project is on GitHub, to open it in Colab.

    Args:
        name: The notebook.
        address: The result of `project_address`.
        is_korean: Whether the page is Korean. Colab opens the English notebook.
    """
    download, open_in_colab = BUTTONS["ko" if is_korean else "en"]
    found = [f"[{download}]({name}.ipynb){{ .md-button download }}"]
    if address.startswith("https://github.com/"):
        place = f"github/{address.removeprefix('https://github.com/')}/blob/main/docs/notebooks/{name}.ipynb"
        found.append(f"[{open_in_colab}](https://colab.research.google.com/{place}){{ .md-button }}")
    return "\n".join(found)


def pages() -> dict[str, str | bytes]:
    """Return the page of each notebook, the notebooks and their pictures, by their places on the site."""
    found: dict[str, str | bytes] = {}
    address = project_address()
    for name in NAMES:
        source = NOTEBOOKS / f"{name}.ipynb"
        executed = EXECUTED / f"{name}.ipynb"
        is_current = executed.is_file() and executed.stat().st_mtime >= source.stat().st_mtime
        book = nbformat.read(executed if is_current else source, as_version=4)
        for cell in book.cells:  # progress bars and notes on the machine
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        found[f"notebooks/{name}.ipynb"] = source.read_bytes()
        without_outputs = in_korean(nbformat.read(source, as_version=4), name)
        found[f"notebooks/{name}.ko.ipynb"] = nbformat.writes(without_outputs).encode()
        for suffix, shown in {"": book, ".ko": in_korean(book, name)}.items():
            resources: dict[str, Any] = {"output_files_dir": f"{name}_files", "unique_key": name}
            text, resources = MarkdownExporter().from_notebook_node(shown, resources)
            title, _, rest = text.partition("\n")
            head = f"{title}\n\n{buttons(name, address, is_korean=suffix != '')}"
            found[f"notebooks/{name}{suffix}.md"] = f"{head}\n{rest}"
            found |= {f"notebooks/{place}": content for place, content in resources["outputs"].items()}
    return found


def main() -> int:
    EXECUTED.mkdir(parents=True, exist_ok=True)
    for name in sys.argv[1:] or NAMES:
        started = time.perf_counter()
        nbformat.write(execute(name), EXECUTED / f"{name}.ipynb")
        print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
