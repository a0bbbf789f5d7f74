"""The notebooks as pages of the site, with the outputs of their last execution.

Usage::

    python -m docs.site.notebooks [NAME ...]    # execute the notebooks, some minutes in all

The executed notebooks are kept in ``build/notebooks``. The site shows a notebook that was not executed without outputs.
"""

from __future__ import annotations

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


def buttons(name: str, address: str) -> str:
    """Return the buttons of a notebook's page: to download it and, if the project is on GitHub, to open it in Colab.

    Args:
        name: The notebook.
        address: The result of `project_address`.
    """
    found = [f"[Download this notebook]({name}.ipynb){{ .md-button download }}"]
    if address.startswith("https://github.com/"):
        place = f"github/{address.removeprefix('https://github.com/')}/blob/main/docs/notebooks/{name}.ipynb"
        found.append(f"[Open in Colab](https://colab.research.google.com/{place}){{ .md-button }}")
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
        resources: dict[str, Any] = {"output_files_dir": f"{name}_files", "unique_key": name}
        for cell in book.cells:  # progress bars and notes on the machine
            if cell.cell_type == "code":
                cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
        text, resources = MarkdownExporter().from_notebook_node(book, resources)
        title, _, rest = text.partition("\n")
        found[f"notebooks/{name}.md"] = f"{title}\n\n{buttons(name, address)}\n{rest}"
        found[f"notebooks/{name}.ipynb"] = source.read_bytes()
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
