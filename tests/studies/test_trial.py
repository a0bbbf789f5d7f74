from __future__ import annotations

from pathlib import Path

import pytest

from zoo.studies.trial import TABLE, Trial, format_table, read_trials
from zoo.utils.errors import UsageError

FINISHED = Trial(
    *(1, 3, {"model.lr": 0.001, "model.activation": "relu"}, "finished"),
    val_losses=(0.5, 0.25),
    val_loss=0.25,
    val_accuracy=0.93,
    test_errors=640,
    test_images=10_000,
    seconds=12.5,
    machine={"processor": "a processor", "cores": 2},
    versions={"torch": "2.14.1"},
)
FAILED = Trial(0, 0, {}, "failed", message="The loss is nan.")


def test_a_table_is_read_as_it_was_written_and_sorted_by_number(tmp_path: Path) -> None:
    (tmp_path / TABLE).write_text(format_table([FINISHED, FAILED]), encoding="utf-8")
    assert read_trials(tmp_path) == [FAILED, FINISHED]
    assert read_trials(tmp_path / TABLE) == [FAILED, FINISHED]


@pytest.mark.parametrize(
    "content", ["not JSON", "[1, 2]", '{"number": 0}', FAILED.to_json().replace("failed", "sleeping"), "\xff"]
)
def test_what_is_no_table_is_refused_in_a_sentence(tmp_path: Path, content: str) -> None:
    (tmp_path / TABLE).write_bytes(content.encode("latin-1"))
    with pytest.raises(UsageError, match="study"):
        read_trials(tmp_path)


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There is no table of a study"):
        read_trials(tmp_path)
