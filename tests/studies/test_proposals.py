from __future__ import annotations

import math
import signal
import statistics
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import SOURCE
from zoo.studies.plan import Plan, Proposal
from zoo.studies.proposals import JOURNAL, SAMPLERS, SampledSettings
from zoo.studies.settings import parse_settings
from zoo.studies.trial import State, Trial
from zoo.utils.errors import UsageError

pytest.importorskip("optuna", reason="needs Optuna, which is in .[studies]")

SPACE = parse_settings(
    ["model.lr=log:1e-4:1e-2", "model.dropout=uniform:0.1:0.5", "model.width=int:1:8", "model.sizes=[4,4],null,true"]
)


def plan(folder: Path, **options: Any) -> SampledSettings:
    return SampledSettings(folder, SPACE, **{"trials": 100, "sampler": "random", **options})


def ended(number: int, state: State = "finished", loss: float = 0.1) -> Trial:
    return Trial(number, 0, {}, state, val_loss=loss if state == "finished" else None, test_loss=-number)


def told(folder: Path) -> dict[int, tuple[str, float | None]]:
    """Return the state and the value of Optuna's trials that have a number."""
    from zoo.studies.optuna_journal import open_journal

    trials = open_journal(folder / JOURNAL).get_trials()
    return {each.user_attrs["zoo_number"]: (each.state.name, each.value) for each in trials if each.user_attrs}


def test_a_sampled_plan_is_a_plan(tmp_path: Path) -> None:
    made: Plan = plan(tmp_path, trials=7)
    assert made.trials == 7


def test_samples_lie_in_their_ranges_and_are_distributed_as_said(tmp_path: Path) -> None:
    made = plan(tmp_path)
    samples = [made.propose(number).settings for number in range(100)]
    learning_rates = [float(each["model.lr"]) for each in samples]  # type: ignore[arg-type]
    dropouts = [float(each["model.dropout"]) for each in samples]  # type: ignore[arg-type]
    widths = Counter(each["model.width"] for each in samples)
    positions = {
        "log": [math.log(each / 1e-4) / math.log(100) for each in learning_rates],
        "uniform": [(each - 0.1) / 0.4 for each in dropouts],
    }
    for values in positions.values():
        assert 0 <= min(values) < max(values) <= 1
        for expected, quantile in zip((0.25, 0.5, 0.75), statistics.quantiles(values, n=4), strict=True):
            assert quantile == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / 100))
    assert set(widths) == set(range(1, 9))
    assert {type(each) for each in widths} == {int}
    assert {each["model.sizes"] for each in samples} == {"[4,4]", None, True}


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_one_worker_proposes_the_same_each_time_also_after_an_interruption(tmp_path: Path, sampler: str) -> None:
    made: dict[str, list[Proposal]] = {"undisturbed": [], "interrupted": []}
    for name, proposals in made.items():
        (tmp_path / name).mkdir()
        worker = plan(tmp_path / name, sampler=sampler, seed=3)
        for number in range(14):
            if name == "interrupted":
                worker = plan(tmp_path / name, sampler=sampler, seed=3)
            proposals.append(worker.propose(number))
            worker.finish(ended(number, loss=float(proposals[-1].settings["model.dropout"])))  # type: ignore[arg-type]
    assert made["undisturbed"] == made["interrupted"]
    assert len({each.settings["model.lr"] for each in made["undisturbed"]}) == 14
    (tmp_path / "other").mkdir()
    assert plan(tmp_path / "other", sampler=sampler, seed=4).propose(0).settings != made["undisturbed"][0].settings


def test_tpe_samples_where_the_loss_was_small(tmp_path: Path) -> None:
    worker = SampledSettings(tmp_path, parse_settings(["model.lr=log:1e-4:1e-2"]), 40, pruning=False)
    distances = []
    for number in range(40):
        distances.append(abs(math.log10(float(worker.propose(number).settings["model.lr"]) / 1e-3)))  # type: ignore[arg-type]
        worker.finish(ended(number, loss=distances[-1] / 2))
    assert statistics.fmean(distances[20:]) < 0.25  # random samples have a mean of 0.5 with a standard error of 0.065


def test_a_proposal_is_kept_until_its_trial_has_ended(tmp_path: Path) -> None:
    first = plan(tmp_path).propose(5)
    assert plan(tmp_path).propose(5) == first
    assert plan(tmp_path).propose(6).id != first.id


def test_ends_are_told_once(tmp_path: Path) -> None:
    worker = plan(tmp_path)
    trials = [ended(0, loss=0.25), ended(1, "failed"), ended(2, "pruned"), ended(3, loss=math.nan)]
    for number in range(5):
        worker.propose(number)
    for trial in [*trials, *trials, ended(99)]:
        worker.finish(trial)
    expected = {0: ("COMPLETE", 0.25), 1: ("FAIL", None), 2: ("PRUNED", None), 3: ("FAIL", None), 4: ("RUNNING", None)}
    assert told(tmp_path) == expected


FINISHED_CURVES = [(5, 1), (4, 2), (3, 3), (2, 4), (1, 5)]


@pytest.mark.parametrize(
    ("curve", "stopped"),
    [
        ((2.9, 9), [False, False]),  # its best loss is below the median of 3 after both epochs
        ((3.0, 3.0), [False, False]),  # the median itself
        ((3.1, 2.9), [True, False]),
        ((9, 3.1), [True, True]),
        ((math.nan, math.nan), [True, True]),
    ],
)
def test_pruning_is_by_the_median_after_the_same_epoch(
    tmp_path: Path, curve: Sequence[float], stopped: list[bool]
) -> None:
    worker = plan(tmp_path)
    for number, losses in enumerate(FINISHED_CURVES):
        worker.propose(number)
        assert not any(worker.report(number, epoch, loss) for epoch, loss in enumerate(losses))
        worker.finish(ended(number))
    worker.propose(5)
    assert [worker.report(5, epoch, loss) for epoch, loss in enumerate(curve)] == stopped
    unpruned = plan(tmp_path, pruning=False)
    unpruned.propose(6)
    assert not unpruned.report(6, 0, 100.0)


def test_no_trial_is_stopped_before_five_have_finished(tmp_path: Path) -> None:
    worker = plan(tmp_path)
    for number, losses in enumerate(FINISHED_CURVES[:4]):
        worker.propose(number)
        worker.report(number, 0, losses[0])
        worker.finish(ended(number))
    worker.propose(4)
    assert not worker.report(4, 0, 100.0)


def test_a_trial_that_is_taken_up_again_reports_its_epochs_again(tmp_path: Path) -> None:
    worker = plan(tmp_path)
    for number, losses in enumerate(FINISHED_CURVES):
        worker.propose(number)
        for epoch, loss in enumerate(losses):
            worker.report(number, epoch, loss)
        worker.finish(ended(number))
    plan(tmp_path).propose(5)
    assert not plan(tmp_path).report(5, 0, 2.0)
    again = plan(tmp_path)
    again.propose(5)
    assert [again.report(5, epoch, 2.0) for epoch in (0, 1)] == [False, False]
    again.finish(ended(5))
    assert not again.report(5, 2, 100.0)  # by a worker that was stopped for longer than its lease


WORKER = """
import os, signal, sys
from pathlib import Path
from zoo.studies.proposals import SampledSettings
from zoo.studies.settings import parse_settings
folder, numbers, die_at = Path(sys.argv[1]), sys.argv[2].split(","), int(sys.argv[3])
synchronize, calls = os.fsync, 0
def fsync(descriptor):
    global calls
    synchronize(descriptor)
    calls += 1
    if calls == die_at:
        os.kill(os.getpid(), signal.SIGKILL)  # with the lock in its hands
os.fsync = fsync
worker = SampledSettings(folder, parse_settings(["a=uniform:0:1", "b=uniform:0:1"]), 100, "tpe")
for number in numbers:
    print(number, worker.propose(int(number)).settings["a"], flush=True)
"""


def start(folder: Path, numbers: str, die_at: int = 0) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WORKER, str(folder), numbers, str(die_at)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SOURCE)


def test_workers_that_ask_at_once_get_trials_of_their_own(tmp_path: Path) -> None:
    workers = [start(tmp_path, ",".join(map(str, range(each, 40, 4)))) for each in range(4)]
    lines = [line for worker in workers for line in worker.communicate()[0].splitlines()]
    assert [worker.returncode for worker in workers] == [0] * 4
    assert sorted(int(line.split()[0]) for line in lines) == list(range(40))
    assert len({line.split()[1] for line in lines}) == 40
    assert told(tmp_path) == {number: ("RUNNING", None) for number in range(40)}


@pytest.mark.slow
def test_a_worker_may_be_killed_in_a_proposal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zoo.studies.optuna_journal.LOCK_SECONDS", 3)
    space = parse_settings(["a=uniform:0:1", "b=uniform:0:1"])
    writes = {1: "study", 2: "trial", 4: "first setting"}
    for name in ("undisturbed", *writes.values()):
        (tmp_path / name).mkdir()
    expected = SampledSettings(tmp_path / "undisturbed", space, 100).propose(0)
    killed = [start(tmp_path / name, "0", die_at) for die_at, name in writes.items()]
    assert [worker.communicate()[0] for worker in killed] == [""] * len(killed)
    assert [worker.returncode for worker in killed] == [-signal.SIGKILL] * len(killed)
    for name in writes.values():
        assert (tmp_path / name / f"{JOURNAL}.lock").exists()
        taken_up = SampledSettings(tmp_path / name, space, 100).propose(0).settings
        assert taken_up["a"] == expected.settings["a"]
        assert name == "first setting" or taken_up == expected.settings


def test_half_a_line_is_no_loss(tmp_path: Path) -> None:
    first = plan(tmp_path).propose(0)
    with (tmp_path / JOURNAL).open("a") as file:
        file.write('{"op_code": 4, "worker')
    worker = plan(tmp_path)
    assert worker.propose(1).settings != first.settings
    assert plan(tmp_path).propose(0) == first


def test_a_journal_that_cannot_be_used_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"Cannot use .*optuna.log"):
        plan(tmp_path / "absent").propose(0)
    (tmp_path / JOURNAL).write_text("no journal\nat all\n")
    with pytest.raises(UsageError, match=r"optuna.log is damaged .*remove it"):
        plan(tmp_path).propose(0)


def test_an_unknown_sampler_and_a_missing_optuna_are_sentences(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="did you mean random"):
        plan(tmp_path, sampler="rando")
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(UsageError, match=r"needs optuna: install the zoo with its extra `studies`"):
        plan(tmp_path)


def test_optuna_prints_nothing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    worker = plan(tmp_path, sampler="tpe")
    for number in range(12):
        worker.propose(number)
        worker.finish(ended(number, loss=number / 12))
    assert capfd.readouterr() == ("", "")
