from __future__ import annotations

from pathlib import Path

import pytest

from zoo.cli import main
from zoo.figures import few_labels
from zoo.figures.writing import read_table
from zoo.models import DBN


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The study in small: one layer of eight units, twenty labels, two seeds, two settings."""
    monkeypatch.setattr(few_labels, "SEEDS", {20: 2})
    monkeypatch.setattr(few_labels, "EPOCHS", {20: 3})
    monkeypatch.setattr(few_labels, "LEARNING_RATES", (0.01,))
    monkeypatch.setattr(few_labels, "create_model", lambda name: DBN([8], pretrain_epochs=1))


def rows(name: str) -> list[dict[str, str]]:
    return read_table(Path(name))


@pytest.mark.usefixtures("quick")
def test_the_study_is_tuned_run_drawn_and_never_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["figures", "few_labels"]) == 0
    first = capsys.readouterr().out
    assert "| 20 | 2 | " in first
    tried = rows("figures/few_labels/tried.csv")
    assert [(row["kind"], float(row["dropout"])) for row in tried] == [
        ("dbn", 0.0),
        ("dbn", 0.5),
        ("control", 0.0),
        ("control", 0.5),
    ]
    results = rows("figures/few_labels.csv")
    assert [(row["kind"], row["seed"]) for row in results] == [(k, s) for k in ("dbn", "control") for s in ("0", "1")]
    for row in results:
        best = min((one for one in tried if one["kind"] == row["kind"]), key=lambda one: int(one["validation_errors"]))
        assert float(row["dropout"]) == float(best["dropout"])
    assert Path("figures/few_labels.png").is_file()

    def never(*_: object) -> None:
        raise AssertionError("it was trained before")

    monkeypatch.setattr(few_labels, "_train", never)
    assert main(["figures", "few_labels"]) == 0
    again = capsys.readouterr().out
    assert again == first[first.index("| labels") :]


@pytest.mark.usefixtures("quick")
def test_results_of_another_recipe_are_not_mixed_in(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["figures", "few_labels"]) == 0
    monkeypatch.setattr(few_labels, "create_model", lambda name: DBN([8], pretrain_epochs=2))
    assert main(["figures", "few_labels"]) == 2
    assert "figures/few_labels is of another recipe or other versions" in capsys.readouterr().err


@pytest.mark.usefixtures("quick")
def test_a_damaged_table_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "few_labels"]) == 0
    Path("figures/few_labels/tried.csv").write_text("labels,kind\n1,dbn\n")
    assert main(["figures", "few_labels"]) == 2
    assert "figures/few_labels/tried.csv is damaged" in capsys.readouterr().err
