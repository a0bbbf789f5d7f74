from __future__ import annotations

from pathlib import Path

import pytest

from zoo.cli import main
from zoo.figures import few_labels
from zoo.figures.writing import read_table
from zoo.models import DBN


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small version of the study: one layer of 8 units, 20 labels, 2 seeds, 2 settings."""
    monkeypatch.setattr(few_labels, "SEEDS", {20: 2})
    monkeypatch.setattr(few_labels, "EPOCHS", {20: 3})
    monkeypatch.setattr(few_labels, "LEARNING_RATES", (0.01,))
    monkeypatch.setattr(few_labels, "create_model", lambda name: DBN([8], pretrain_epochs=1))


def rows(name: str) -> list[dict[str, str]]:
    return read_table(Path(name))


@pytest.mark.usefixtures("quick")
def test_study_is_tuned_tested_and_drawn_and_finished_runs_are_not_repeated(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["figures", "few_labels"]) == 0
    first = capsys.readouterr().out
    assert "| 20 | 2 | " in first
    trials = rows("figures/few_labels/tried.csv")
    assert [(row["kind"], float(row["dropout"])) for row in trials] == [
        ("dbn", 0.0),
        ("dbn", 0.5),
        ("control", 0.0),
        ("control", 0.5),
    ]
    results = rows("figures/few_labels.csv")
    assert [(row["kind"], row["seed"]) for row in results] == [
        (kind, seed) for kind in ("dbn", "control") for seed in ("0", "1")
    ]
    for row in results:
        best = min(
            (trial for trial in trials if trial["kind"] == row["kind"]),
            key=lambda trial: int(trial["validation_errors"]),
        )
        assert float(row["dropout"]) == float(best["dropout"])
    assert Path("figures/few_labels.png").is_file()

    def fail(*_: object) -> None:
        raise AssertionError("a finished run was trained again")

    monkeypatch.setattr(few_labels, "_train", fail)
    assert main(["figures", "few_labels"]) == 0
    second = capsys.readouterr().out
    assert second == first[first.index("| labels") :]


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_results_of_other_settings_are_refused(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["figures", "few_labels"]) == 0
    monkeypatch.setattr(few_labels, "create_model", lambda name: DBN([8], pretrain_epochs=2))
    assert main(["figures", "few_labels"]) == 2
    assert "figures/few_labels is of another recipe or other versions" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("quick")
def test_damaged_csv_file_is_named_in_the_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "few_labels"]) == 0
    Path("figures/few_labels/tried.csv").write_text("labels,kind,lr\n1,dbn\n")
    assert main(["figures", "few_labels"]) == 2
    assert "figures/few_labels/tried.csv is damaged" in capsys.readouterr().err
