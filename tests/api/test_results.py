"""Results of the Python functions: they show themselves in a notebook, and print in a terminal."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import zoo
from zoo.cli import main
from zoo.utils.table import Table

SEVEN = Path(zoo.__file__).parent.parent / "docs/pictures/seven.png"


def test_a_picture_is_classified_as_by_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(SEVEN, "seven.png")
    found = zoo.classify("seven.png", "softmax", "deep_relu")
    assert main(["classify", "seven.png", "--json", "--model", "softmax", "--model", "deep_relu"]) == 0
    (expected,) = json.loads(capsys.readouterr().out)
    assert found.answer == str(expected["answer"]) == "7"
    assert found.probability == pytest.approx(max(expected["probabilities"]), abs=1e-6)
    assert found.table["network"] == ["softmax", "deep_relu"]
    assert found.table["7"] == pytest.approx(
        [member["probabilities"][7] for member in expected["members"].values()], abs=1e-6
    )
    assert str(found).startswith("seven.png: 7, probability 0.9")
    assert "<table>" in found._repr_html_()
    assert found.image.png.startswith(b"\x89PNG")
    in_memory = zoo.classify(Image.open("seven.png").copy(), "softmax", "deep_relu")
    assert in_memory.probability == found.probability
    with pytest.raises(zoo.UsageError, match="did you mean softmax"):
        zoo.classify("seven.png", "sofmax")
    several: Any = ["softmax", "deep_relu"]
    with pytest.raises(zoo.UsageError, match="not in a list: 'softmax', 'deep_relu'"):
        zoo.classify("seven.png", several)


def test_networks_and_runs_are_compared() -> None:
    run = zoo.fit("softmax", num_train=500, max_epochs=1, accelerator="cpu", progress=False)
    found = zoo.compare("softmax", run)
    assert found.table["network"][:2] == ["softmax", "softmax version_0"]
    assert found.table["errors"][0] == zoo.model_info("softmax").metrics["test_errors"]  # type: ignore[index]
    assert found.table["errors"][1] == run.metrics["test_errors"]
    (pair,) = found.pairs
    assert isinstance(pair["p"], float)
    assert pair["p"] < 1e-6
    assert found.picture.png.startswith(b"\x89PNG")
    with pytest.raises(zoo.UsageError, match="two different networks"):
        zoo.compare("softmax", "softmax")


def test_runs_of_one_name_in_two_places_are_told_apart_by_their_paths() -> None:
    settings: dict[str, Any] = {"num_train": 200, "max_epochs": 1, "accelerator": "cpu", "progress": False}
    runs = [zoo.fit("softmax", folder=folder, **settings) for folder in ("first", "second")]
    found = zoo.compare(*runs)
    paths = [f"softmax {folder}/softmax/version_0" for folder in ("first", "second")]
    assert [row["network"] for row in found.table][:2] == paths
    assert len(found.pairs) == 1


def test_a_figure_is_drawn_without_files() -> None:
    found = zoo.figures.draw("weights", model="softmax")
    assert list(found.pictures) == ["weights"]
    assert "<img" in found._repr_html_()
    assert len(found.tables["weights"]) > 0
    assert not list(Path().rglob("*.png"))
    assert found.save("pictures") == [Path("pictures/weights.png")]
    with pytest.raises(zoo.UsageError, match="did you mean weights"):
        zoo.figures.draw("weigths")


def test_a_table_prints_its_rows() -> None:
    table = Table([{"name": "a", "value": 1.23456}, {"name": "bcd", "count": 1_000}])
    assert repr(table).splitlines() == ["name   value  count", "a     1.2346", "bcd            1000"]
    assert table[1]["count"] == 1000
    assert table[-1:] == [{"name": "bcd", "value": None, "count": 1000}]
    assert len(table) == 2
    with pytest.raises(KeyError, match="the columns are name, value, count"):
        table["values"]
    assert np.isclose(table["value"][0], 1.23456)  # type: ignore[arg-type]
