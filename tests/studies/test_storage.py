from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import replace_by_folder, snapshot
from zoo.studies import storage as storage_module
from zoo.studies.plan import Proposal, SeedsAndGrid
from zoo.studies.storage import RECORD, Storage
from zoo.studies.trial import Trial, read_trials
from zoo.utils.errors import UsageError
from zoo.utils.files import create_exclusively, write_bytes

STUDY: dict[str, Any] = {
    "name": "softmax",
    "zoo": "1.0",
    "threads": 1,
    "settings": {},
    "config": {"model": {"lr": 0.1}, "trainer": {"max_epochs": 3}},
}


def trial(number: int, **changes: Any) -> Trial:
    return Trial(number, number, {"model.lr": 0.1, "model.sizes": [3, 4]}, "finished", test_errors=number, **changes)


def test_the_same_study_is_joined(tmp_path: Path) -> None:
    Storage(tmp_path / "study").begin(STUDY)
    before = snapshot(tmp_path)
    Storage(tmp_path / "study").begin(STUDY)
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"name": "dropout"}, "the recipe softmax, and this is dropout"),
        ({"zoo": "1.1"}, "zoo 1.0, and this is 1.1"),
        ({"threads": 2}, "--threads 1, and this is 2"),
        ({"settings": {"model.lr": [1, 2]}}, "another --set"),
        ({"config": {"model": {"lr": 0.2}, "trainer": {"max_epochs": 3}}}, "model.lr 0.1, and this recipe has 0.2"),
    ],
)
def test_another_study_is_refused_and_nothing_is_written(tmp_path: Path, changes: dict[str, Any], named: str) -> None:
    Storage(tmp_path / "study").begin(STUDY)
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match=named):
        Storage(tmp_path / "study").begin({**STUDY, **changes})
    assert snapshot(tmp_path) == before


def test_of_two_studies_that_begin_at_once_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def create_after_another(path: Path, content: bytes) -> bool:
        monkeypatch.undo()
        Storage(tmp_path).begin({**STUDY, "threads": 2})
        return create_exclusively(path, content)

    monkeypatch.setattr(storage_module, "create_exclusively", create_after_another)
    with pytest.raises(UsageError, match="--threads 2, and this is 1"):
        Storage(tmp_path).begin(STUDY)


def test_a_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    before = snapshot(tmp_path)
    with pytest.raises(UsageError, match="holds other files"):
        Storage(tmp_path).begin(STUDY)
    assert snapshot(tmp_path) == before


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "study"):
        with pytest.raises(UsageError, match="name another"):
            Storage(folder).begin(STUDY)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UsageError, match="Cannot write"):
        Storage(tmp_path / "study").begin(STUDY)
    tmp_path.chmod(0o700)


@pytest.mark.parametrize("content", ["", "[]", '{"format": 7}', '{"format": 1}', "\x00"])
def test_a_damaged_record_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / RECORD).write_text(content)
    with pytest.raises(UsageError, match="name another"):
        Storage(tmp_path).begin(STUDY)


def test_a_folder_in_the_place_of_a_file_is_refused(tmp_path: Path) -> None:
    Storage(tmp_path).begin(STUDY)
    replace_by_folder(tmp_path / RECORD)
    with pytest.raises(UsageError):
        Storage(tmp_path).record()


def test_the_first_result_and_the_first_proposal_stay(tmp_path: Path) -> None:
    storage, other = Storage(tmp_path), Storage(tmp_path)
    assert storage.store_result(trial(3))
    assert not other.store_result(trial(3, seconds=5.0))
    assert other.results() == [trial(3)]
    first = storage.store_proposal(3, Proposal(1, {"model.lr": 0.5}, id=7))
    assert other.store_proposal(3, Proposal(2, {})) == first == storage.proposal(3)
    assert list(tmp_path.rglob("*.tmp")) == []


def test_the_table_has_every_trial_and_its_settings(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    failed = Trial(1, 1, {}, "failed", message='The loss is "nan", at step 3.')
    for each in (trial(12, machine={"processor": "P"}, versions={"torch": "2"}), failed, trial(0)):
        storage.store_result(each)
    assert storage.write_table() == read_trials(tmp_path)
    with (tmp_path / "trials.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["number"] for row in rows] == ["0", "1", "12"]
    assert rows[1]["message"] == failed.message
    assert rows[1]["test_errors"] == rows[1]["model.lr"] == ""
    assert rows[2]["model.sizes"] == "[3, 4]"
    assert (rows[2]["test_errors"], rows[2]["machine.processor"], rows[2]["versions.torch"]) == ("12", "P", "2")


def test_a_table_that_another_worker_writes_meanwhile_is_complete_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = Storage(tmp_path)
    storage.store_result(trial(0))

    def write_after_another(path: Path, content: bytes, replace: bool) -> None:
        monkeypatch.setattr(storage_module, "write_bytes", write_bytes)
        other = Storage(tmp_path)
        other.store_result(trial(1))
        other.write_table()
        write_bytes(path, content, replace=replace)  # replaces the newer table by the older one

    monkeypatch.setattr(storage_module, "write_bytes", write_after_another)
    storage.write_table()
    assert [each.number for each in read_trials(tmp_path)] == [0, 1]


def test_a_damaged_proposal_is_told(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.store_proposal(0, Proposal(0, {}))
    for content in ("{", '{"sead": 3}'):
        (storage.trial_folder(0) / "proposal.json").write_text(content)
        with pytest.raises(UsageError, match="damaged"):
            storage.proposal(0)


def test_a_damaged_result_is_told(tmp_path: Path) -> None:
    storage = Storage(tmp_path)
    storage.store_result(trial(0))
    (storage.trial_folder(0) / "result.json").write_text("{")
    with pytest.raises(UsageError, match="damaged"):
        Storage(tmp_path).results()


def test_more_seeds_leave_the_numbers_of_a_grid_as_they_are() -> None:
    cells = [{"model.lr": 0.1}, {"model.lr": 0.2}, {"model.lr": 0.3}]
    few, more = SeedsAndGrid(2, cells), SeedsAndGrid(5, cells)
    assert (few.trials, more.trials) == (6, 15)
    assert [few.propose(number) for number in range(6)] == [more.propose(number) for number in range(6)]
    assert len({(p.seed, p.settings["model.lr"]) for p in map(more.propose, range(15))}) == 15
