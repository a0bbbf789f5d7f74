"""The notebooks run from their first cell to their last, in a folder that is not the clone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

SOURCE = Path(__file__).parent.parent.parent
NAMES = sorted(path.stem for path in (SOURCE / "docs" / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("name", NAMES)
def test_no_outputs_are_kept(name: str) -> None:
    book = json.loads((SOURCE / "docs" / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    code = [cell for cell in book["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert "find_spec" in "".join(code[0]["source"])


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_installs_the_zoo_from_the_project_s_address(name: str) -> None:
    pytest.importorskip("nbclient", reason="needs nbclient, which is in .[docs]")
    from docs.site.notebooks import project_address

    address = project_address()
    book = json.loads((SOURCE / "docs" / "notebooks" / f"{name}.ipynb").read_text(encoding="utf-8"))
    expected = f"git+{address}" if address else ""
    assert f'ADDRESS = "{expected}"' in "".join("".join(cell["source"]) for cell in book["cells"])


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_s_korean_text_stands_beside_the_same_code(name: str) -> None:
    pytest.importorskip("nbclient", reason="needs nbclient, which is in .[docs]")
    import nbformat

    from docs.site.notebooks import in_korean

    english = nbformat.read(SOURCE / "docs" / "notebooks" / f"{name}.ipynb", as_version=4)
    korean = in_korean(english, name)
    nbformat.validate(korean)
    assert [cell.cell_type for cell in korean.cells] == [cell.cell_type for cell in english.cells]
    for before, after in zip(english.cells, korean.cells, strict=True):
        if before.cell_type == "code":
            assert after.source == before.source
            continue
        assert set(re.findall(r"`[^`]+`", before.source)) <= set(re.findall(r"`[^`]+`", after.source))
        missing = set(re.findall(r"\d[\d,.]*\d|\d", before.source)) - set(re.findall(r"\d[\d,.]*\d|\d", after.source))
        assert not missing
        assert re.search("[가-힣]", after.source)


def test_only_a_project_on_github_has_a_button_for_colab() -> None:
    pytest.importorskip("nbclient", reason="needs nbclient, which is in .[docs]")
    from docs.site.notebooks import buttons

    place = "github/owner/zoo/blob/main/docs/notebooks/rbm.ipynb"
    assert f"(https://colab.research.google.com/{place})" in buttons("rbm", "https://github.com/owner/zoo")
    for address in ("", "https://example.org/zoo"):
        assert "Colab" not in buttons("rbm", address)
        assert "(rbm.ipynb)" in buttons("rbm", address)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_runs(name: str) -> None:
    pytest.importorskip("nbclient", reason="needs nbclient, which is in .[docs]")
    from docs.site.notebooks import NAMES as LISTED
    from docs.site.notebooks import execute

    assert name in LISTED
    book = execute(name)
    assert [output for cell in book.cells for output in cell.get("outputs", [])]
