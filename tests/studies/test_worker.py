"""The worker of a study, with a short program in the place of ``zoo fit``."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from zoo.studies.claims import Claims, claim_path, newest_generation
from zoo.studies.plan import Proposal, SeedsAndGrid
from zoo.studies.storage import Storage
from zoo.studies.training import Recipe
from zoo.studies.trial import Trial, read_trials
from zoo.studies.worker import Interrupted, Progress, Worker
from zoo.utils.errors import UsageError

PROGRAM = """
import json, os, sys, time
from pathlib import Path
settings = dict(word[2:].split("=") for word in sys.argv if word.startswith("--") and "=" in word)
seed = int(sys.argv[sys.argv.index("--seed_everything") + 1])
root = Path(sys.argv[sys.argv.index("--trainer.default_root_dir") + 1])
(root / "began").write_text(f"{os.getpid()} {time.monotonic()}")
(root / "environment.json").write_text(json.dumps(dict(os.environ)))
metrics = open(os.environ["ZOO_METRICS_FILE"], "a")
def write(**line):
    print(json.dumps(line), file=metrics, flush=True)
write(machine={"processor": "P", "device": "CPU with 1 thread"}, versions={"zoo": "1"})
(root / "run").mkdir()
(root / "run" / "step=1.ckpt").touch()
for epoch in range(2):
    write(epoch=epoch, val_loss=seed + 1 / (epoch + 1), val_acc=0.5, seconds=epoch + 1.0)
    time.sleep(float(settings.get("sleep", 0)) if epoch == 0 else 0)
if settings.get("fail") == str(seed):
    print("zoo: The loss is nan; the last good checkpoint is /tmp/x.", file=sys.stderr)
    sys.exit(2)
if settings.get("crash"):
    raise MemoryError("no room")
if settings.get("die"):
    os.kill(os.getpid(), int(settings["die"]))
write(seconds=3.0)
tested = json.loads(settings.get("tested", "null"))
write(test_loss=0.5, test_acc=0.9, test_errors=seed + 100.0, test_images=1000, tested_epoch=tested)
(root / "ended").write_text(f"{time.monotonic()}")
"""


def make_worker(folder: Path, plan: Any, lease: float = 60.0, jobs: int = 2, **options: Any) -> Worker:
    program = folder.parent / "program.py"
    program.write_text(PROGRAM)
    recipe = Recipe("recipe", "model: {}\n", [sys.executable, str(program)], threads=1)
    return Worker(Storage(folder), plan, recipe, jobs, lease, **options)


def plan_of(seeds: int, **settings: Any) -> SeedsAndGrid:
    return SeedsAndGrid(seeds, [settings])


def in_thread(action: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=action, daemon=True)
    thread.start()
    return thread


def wait_for(pattern: str, folder: Path) -> Path:
    deadline = time.monotonic() + 30
    while not (found := sorted(folder.glob(pattern))):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found[0]


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_every_trial_is_trained_once_and_is_in_the_table(tmp_path: Path) -> None:
    told: list[tuple[Trial | None, Progress]] = []
    plan = SeedsAndGrid(2, [{"model.lr": 0.1}, {"model.lr": 0.2}])
    trials = make_worker(tmp_path / "study", plan, report=lambda *words: told.append(words)).run()
    assert trials == read_trials(tmp_path / "study")
    assert [(trial.seed, trial.settings["model.lr"], trial.test_errors) for trial in trials] == [
        *((0, 0.1, 100), (0, 0.2, 100), (1, 0.1, 101), (1, 0.2, 101)),
    ]
    first = trials[0]
    assert (first.state, first.val_losses, first.val_loss, first.test_images) == ("finished", (1.0, 0.5), 0.5, 1000)
    assert (first.seconds, first.machine["processor"], first.versions) == (3.0, "P", {"zoo": "1"})
    assert all(newest_generation(tmp_path / "study" / "trials" / f"{number:05}") == 1 for number in range(4))
    assert sorted(trial.number for trial, _ in told if trial) == [0, 1, 2, 3]
    assert told[-1][1] == Progress(4, 0, 4, 0, 0.0)


def test_a_study_that_has_ended_goes_on_with_more_seeds(tmp_path: Path) -> None:
    make_worker(tmp_path / "study", plan_of(2)).run()
    before = (tmp_path / "study/trials/00000/result.json").stat()
    assert [trial.seed for trial in make_worker(tmp_path / "study", plan_of(3)).run()] == [0, 1, 2]
    assert (tmp_path / "study/trials/00000/result.json").stat() == before


def test_failed_trials_are_in_the_table_with_their_sentence(tmp_path: Path) -> None:
    trials = make_worker(tmp_path / "study", plan_of(3, fail=1)).run()
    assert [(trial.state, trial.message) for trial in trials] == [
        *(("finished", ""), ("failed", "The loss is nan"), ("finished", "")),
    ]
    assert trials[1].test_errors is None
    assert trials[1].machine["processor"] == "P"


def test_the_validation_metrics_are_those_of_the_network_that_was_tested(tmp_path: Path) -> None:
    (trial,) = make_worker(tmp_path / "study", plan_of(1, tested=0)).run()
    assert (trial.val_loss, trial.val_losses) == (1.0, (1.0, 0.5))


@pytest.mark.parametrize(
    ("settings", "message"), [({"crash": 1}, "MemoryError: no room"), ({"die": 9}, "--jobs"), ({"die": 6}, "SIGABRT")]
)
def test_any_end_is_told(tmp_path: Path, settings: dict[str, Any], message: str) -> None:
    (trial,) = make_worker(tmp_path / "study", plan_of(1, **settings)).run()
    assert trial.state == "failed"
    assert message in trial.message


def test_as_many_trainings_run_at_once_as_there_are_jobs(tmp_path: Path) -> None:
    make_worker(tmp_path / "study", plan_of(4, sleep=0.4), jobs=2).run()
    times = [
        (float((attempt / "began").read_text().split()[1]), float((attempt / "ended").read_text()))
        for attempt in (tmp_path / "study").glob("trials/*/attempt-1")
    ]
    at_once = [sum(began <= moment < ended for began, ended in times) for moment, _ in times]
    assert max(at_once) == 2


@pytest.mark.parametrize("kept", [False, True])
def test_checkpoints_are_kept_only_if_asked_for(tmp_path: Path, kept: bool) -> None:
    make_worker(tmp_path / "study", plan_of(1), keep_checkpoints=kept).run()
    assert bool(list((tmp_path / "study").rglob("*.ckpt"))) == kept


def test_a_training_has_its_number_of_threads_and_no_rank(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SLURM_PROCID", "RANK", "WORLD_SIZE", "PL_GLOBAL_SEED", "OMPI_COMM_WORLD_RANK", "OMP_NUM_THREADS"):
        monkeypatch.setenv(name, "3")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    make_worker(tmp_path / "study", plan_of(1)).run()
    variables = json.loads((tmp_path / "study/trials/00000/attempt-1/environment.json").read_text())
    assert variables["OMP_NUM_THREADS"] == variables["MKL_NUM_THREADS"] == "1"
    assert variables["CUDA_VISIBLE_DEVICES"] == "2"
    assert not variables.keys() & {"SLURM_PROCID", "RANK", "WORLD_SIZE", "PL_GLOBAL_SEED", "OMPI_COMM_WORLD_RANK"}


@pytest.mark.parametrize("launched", [False, True])
def test_settings_of_mpi_reach_a_training_unless_mpi_started_the_study(
    launched: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMPI_ALLOW_RUN_AS_ROOT", "1")
    if launched:
        monkeypatch.setenv("PMIX_RANK", "0")
    make_worker(tmp_path / "study", plan_of(1)).run()
    variables = json.loads((tmp_path / "study/trials/00000/attempt-1/environment.json").read_text())
    assert ("OMPI_ALLOW_RUN_AS_ROOT" in variables) == (not launched)
    assert "PMIX_RANK" not in variables


def test_the_trial_of_a_vanished_worker_is_taken_up_after_its_lease(tmp_path: Path) -> None:
    lease = 1.5
    storage = Storage(tmp_path / "study")
    vanished = Claims(storage.folder / "workers", lease)  # no thread renews what it holds
    assert vanished.take(storage.trial_folder(0)) is not None
    storage.store_proposal(0, Proposal(7, {}))
    began = time.monotonic()
    told: list[Trial | None] = []
    trials = make_worker(tmp_path / "study", plan_of(1), lease, report=lambda trial, _: told.append(trial)).run()
    assert time.monotonic() - began > lease / 2
    assert [trial.seed for trial in trials] == [7], "a proposal that is stored is not made again"
    assert told[0] is None
    assert (storage.trial_folder(0) / "attempt-2").is_dir()


def test_a_worker_whose_claim_is_lost_gives_its_trial_up(tmp_path: Path) -> None:
    storage = Storage(tmp_path / "study")
    others = Trial(0, 0, {"sleep": 60}, "finished", test_errors=5)

    def take_over() -> None:
        folder = wait_for("trials/00000/attempt-1/began", storage.folder).parent.parent
        claim_path(folder, 2).write_text('{"lease": 60}')
        storage.store_result(others)

    thread = in_thread(take_over)
    trials = make_worker(tmp_path / "study", plan_of(1, sleep=60), lease=0.5).run()
    thread.join()
    assert trials == [others]
    process = int((storage.trial_folder(0) / "attempt-1" / "began").read_text().split()[0])
    assert not is_running(process)
    assert list(storage.folder.rglob("*.ckpt")) == []


def test_a_training_that_ended_while_the_claim_was_lost_does_not_count(tmp_path: Path) -> None:
    """As when a worker is stopped beyond its lease, and its process goes on."""
    storage = Storage(tmp_path / "study")
    others = Trial(0, 0, {}, "finished", test_errors=5)

    def take_over() -> None:
        folder = wait_for("trials/00000/attempt-1/began", storage.folder).parent.parent
        claim_path(folder, 2).write_text('{"lease": 60}')
        time.sleep(1)
        storage.store_result(others)

    thread = in_thread(take_over)
    assert make_worker(tmp_path / "study", plan_of(1, sleep=0.3)).run() == [others]
    thread.join()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_trainings_and_releases_the_claims(tmp_path: Path, number: signal.Signals) -> None:
    handlers = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)]

    def interrupt() -> None:
        wait_for("trials/00001/attempt-1/began", tmp_path / "study")
        os.kill(os.getpid(), number)

    thread = in_thread(interrupt)
    with pytest.raises(Interrupted) as raised:
        make_worker(tmp_path / "study", plan_of(2, sleep=60)).run()
    thread.join()
    assert raised.value.signal == number
    assert [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)] == handlers
    for path in (tmp_path / "study").glob("trials/*/attempt-1/began"):
        assert not is_running(int(path.read_text().split()[0]))
    assert read_trials(tmp_path / "study") == []
    for trial in (0, 1):
        claim = Claims(tmp_path / "study/workers").take(Storage(tmp_path / "study").trial_folder(trial))
        assert claim is not None


def test_a_training_that_someone_else_interrupts_is_taken_up_again(tmp_path: Path) -> None:
    def interrupt() -> None:
        path = wait_for("trials/00000/attempt-1/began", tmp_path / "study")
        time.sleep(0.1)
        os.kill(int(path.read_text().split()[0]), signal.SIGTERM)

    thread = in_thread(interrupt)
    (trial,) = make_worker(tmp_path / "study", plan_of(1, sleep=1)).run()
    thread.join()
    assert trial.state == "finished"


class Pruning(SeedsAndGrid):
    """Stops the trial of seed 1 after its first epoch, and notes what it is told."""

    told: list[tuple[int, int, float]]
    finished: list[int]

    def report(self, number: int, epoch: int, val_loss: float) -> bool:
        self.told.append((number, epoch, val_loss))
        return number == 1

    def finish(self, trial: Trial) -> None:
        self.finished.append(trial.number)


def test_a_plan_is_told_of_epochs_and_ends_and_stops_trials(tmp_path: Path) -> None:
    plan = Pruning(2, [{"sleep": 3}])
    object.__setattr__(plan, "told", [])
    object.__setattr__(plan, "finished", [])
    trials = make_worker(tmp_path / "study", plan).run()
    assert [trial.state for trial in trials] == ["finished", "pruned"]
    assert trials[1].val_losses == (2.0,)
    assert (trials[1].val_loss, trials[1].test_errors, trials[1].message) == (None, None, "")
    assert trials[1].machine["processor"] == "P"
    assert (0, 0, 1.0) in plan.told
    assert (1, 0, 2.0) in plan.told
    assert sorted(plan.finished) == [0, 1]


def test_a_plan_learns_of_results_whose_worker_died_before_it_told(tmp_path: Path) -> None:
    plan = Pruning(1)
    object.__setattr__(plan, "finished", [])
    Storage(tmp_path / "study").store_result(Trial(0, 0, {}, "finished"))
    make_worker(tmp_path / "study", plan).run()
    assert plan.finished == [0]


def test_a_storage_that_vanishes_ends_the_work_with_a_sentence(tmp_path: Path) -> None:
    def remove() -> None:
        wait_for("trials/00000/attempt-1/began", tmp_path / "study")
        os.rename(tmp_path / "study", tmp_path / "elsewhere")
        (tmp_path / "study").touch()

    thread = in_thread(remove)
    with pytest.raises(UsageError, match=r"^(Cannot|There is)"):
        make_worker(tmp_path / "study", plan_of(1, sleep=1)).run()
    thread.join()
    assert not is_running(int((tmp_path / "elsewhere/trials/00000/attempt-1/began").read_text().split()[0]))


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    from zoo.studies.training import METRICS, read_metrics

    (tmp_path / METRICS).write_text('{"epoch": 0, "val_loss": 1.0}\n[3]\n{"epoch": 1, "val')
    assert read_metrics(tmp_path) == [{"epoch": 0, "val_loss": 1.0}]
