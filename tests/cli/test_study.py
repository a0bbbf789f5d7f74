from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.helpers import SOURCE, error_output, snapshot, start_zoo, weights
from zoo.cli import main
from zoo.studies.storage import Storage
from zoo.studies.trial import Trial, read_trials
from zoo.studies.worker import Worker

CONFIG = """
model:
  class_path: zoo.models.SoftmaxRegression
  init_args: {{lr: 0.001}}
data:
  class_path: zoo.data.MNISTDataModule
  init_args: {{num_train: {images}, val_size: 1000}}
trainer: {{max_epochs: {epochs}, accelerator: cpu}}
"""


WRITTEN_ANEW = ("trials.csv", "trials.jsonl", "study.png")
"""What every report writes."""


@pytest.fixture(autouse=True)
def children_find_this_zoo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", SOURCE)


def write_config(images: int = 400, epochs: int = 2, name: str = "small.yaml") -> str:
    Path(name).write_text(CONFIG.format(images=images, epochs=epochs))
    return name


def outcomes(folder: str) -> list[Trial]:
    """Return the trials without what differs between equal trainings."""
    return [replace(trial, seconds=0.0) for trial in read_trials(Path(folder))]


def test_a_study_trains_what_fit_trains_and_reports_it(capsys: pytest.CaptureFixture[str]) -> None:
    config = write_config()
    assert main(["study", config, "--seeds", "2", "--keep_checkpoints"]) == 0
    output = capsys.readouterr().out
    trials = read_trials(Path("studies/small"))
    assert [(trial.seed, trial.state, trial.test_images) for trial in trials] == [
        *((0, "finished", 10_000), (1, "finished", 10_000)),
    ]
    assert all(len(trial.val_losses) == 2 and trial.val_loss == trial.val_losses[-1] for trial in trials)
    assert trials[1].machine["threads"] == 1
    assert "2/2 ended" in output
    assert "n 2, mean" in output
    assert Path("studies/small/study.png").is_file()
    main(["fit", "--config", config, "--seed_everything", "1"])
    assert f"{trials[1].test_errors:,} errors" in capsys.readouterr().out
    by_study = "studies/small/trials/00001/attempt-1/small/version_0/checkpoints/last.ckpt"
    assert weights(by_study) == weights("logs/small/version_0/checkpoints/last.ckpt")

    before = {name: state for name, state in snapshot(Path("studies")).items() if not name.endswith(WRITTEN_ANEW)}
    assert main(["study", config, "--report"]) == 0
    assert "one more run" in capsys.readouterr().out
    after = {name: state for name, state in snapshot(Path("studies")).items() if not name.endswith(WRITTEN_ANEW)}
    assert {name: state[::3] for name, state in after.items()} == {name: state[::3] for name, state in before.items()}

    write_config(epochs=3)
    assert "trainer.max_epochs 2, and this recipe has 3" in error_output(["study", config, "--seeds", "3"], capsys)
    write_config()
    assert "--threads" in error_output(["study", config, "--seeds", "3", "--threads", "2"], capsys)


@pytest.mark.slow
def test_a_grid_has_a_chosen_setting_and_a_failed_trial_makes_the_status_1(capsys: pytest.CaptureFixture[str]) -> None:
    grid = ["study", write_config(), "--set", "model.lr=1e38,0.001"]
    assert main(grid) == 1
    output = capsys.readouterr().out
    failed, finished = read_trials(Path("studies/small"))
    assert (failed.state, failed.settings, finished.state) == ("failed", {"model.lr": 1e38}, "finished")
    assert "The loss is" in failed.message
    assert ".ckpt" not in failed.message
    assert failed.message in output
    assert "Chosen by validation: model.lr=0.001" in output
    assert "another --set" in error_output(["study", "small.yaml", "--seeds", "1"], capsys)
    # The numbers of the cells do not depend on the order of the flags, and those that have ended are not trained again.
    assert main([*grid, "--seeds", "1"]) == 1
    assert read_trials(Path("studies/small")) == [failed, finished]


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[Worker]:
    """The workers that are made, which train nothing."""
    made: list[Worker] = []

    def note(worker: Worker) -> list[Trial]:
        made.append(worker)
        return []

    monkeypatch.setattr(Worker, "run", note)
    return made


@pytest.mark.slow
def test_the_order_of_the_flags_does_not_number_a_grid_anew(workers: list[Worker]) -> None:
    flags = [["--set", "model.lr=0.1,0.2"], ["--set", "data.batch_size=50,100,200"]]
    assert main(["study", write_config(), *flags[0], *flags[1]]) == 0
    assert main(["study", "small.yaml", *flags[1], *flags[0], "--seeds", "2"]) == 0
    first, second = (worker.plan for worker in workers)
    assert (first.trials, second.trials) == (6, 12)
    assert [first.propose(number) for number in range(6)] == [second.propose(number) for number in range(6)]


def test_a_study_may_begin_at_a_later_seed(workers: list[Worker], capsys: pytest.CaptureFixture[str]) -> None:
    study = ["study", write_config(), "--seeds", "3"]
    assert main([*study, "--first_seed", "10"]) == 0
    plan = workers[0].plan
    assert [plan.propose(number).seed for number in range(plan.trials)] == [10, 11, 12]
    assert "--first_seed 10, and this is 0" in error_output(study, capsys)


def test_a_study_of_an_older_version_began_at_seed_0(workers: list[Worker], capsys: pytest.CaptureFixture[str]) -> None:
    study = ["study", write_config(), "--seeds", "3"]
    assert main(study) == 0
    record = Path("studies/small/study.json")
    record.write_text(json.dumps({k: v for k, v in json.loads(record.read_text()).items() if k != "first_seed"}))
    assert main(study) == 0
    assert "--first_seed 0, and this is 1" in error_output([*study, "--first_seed", "1"], capsys)


def test_as_many_trainings_run_at_once_as_their_threads_find_cores(
    workers: list[Worker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(5)))
    for threads in (1, 2, 8):
        words = ["--seeds", "9", "--threads", str(threads), "--storage", str(threads)]
        assert main(["study", write_config(), *words]) == 0
    assert [worker.jobs for worker in workers] == [5, 2, 1]


@pytest.mark.slow
def test_settings_are_sampled_and_more_trials_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    line = ["study", write_config(), "--set", "model.lr=log:1e-4:1e-2", "--sampler", "random"]
    assert main([*line, "--trials", "2"]) == 0
    few = read_trials(Path("studies/small"))
    assert main([*line, "--trials", "3", "--jobs", "1"]) == 0
    more = read_trials(Path("studies/small"))
    assert more[:2] == few
    assert len({trial.settings["model.lr"] for trial in more}) == 3
    assert all(1e-4 <= trial.settings["model.lr"] <= 1e-2 for trial in more)
    best = min(more, key=lambda trial: trial.val_loss or 0)
    chosen = capsys.readouterr().out.rpartition("Chosen by validation:")[2]
    assert f"model.lr={best.settings['model.lr']}" in chosen
    assert f"mean {best.test_errors:,}" in chosen
    assert "--sampler random, and this is tpe" in error_output([*line[:4], "--trials", "3"], capsys)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["softmax"], "--seeds 30"),
        (["softmax", "--seeds", "0"], "--seeds is 0"),
        (["softmax", "--seeds", "-3"], "--seeds is -3"),
        (["softmax", "--seeds", "3", "--first_seed", "-1"], "--first_seed is -1"),
        (["softmax", "--seeds", "2", "--first_seed", "4294967295"], "The last seed is 4294967296, but"),
        (["softmax", "--set", "model.lr=0.1", "--trials", "3", "--first_seed", "1"], "leave out --first_seed"),
        (["softmax", "--seeds", "3", "--jobs", "0"], "--jobs is 0"),
        (["softmax", "--seeds", "3", "--threads", "0"], "--threads is 0"),
        (["softmax", "--seeds", "3", "--lease", "nan"], "--lease is nan"),
        (["softmax", "--seeds", "3", "--lease", "0"], "--lease is 0"),
        (["softmax", "--seeds", "3", "--trials", "3"], "give --set"),
        (["softmax", "--set", "model.lr=0.1", "--seeds", "3", "--trials", "3"], "leave --seeds out"),
        (["softmax", "--set", "model.lr=log:0.1:1"], "say by --trials"),
        (["softmax", "--set", "model.lr"], "NAME=VALUES"),
        (["softmax", "--set", "model.lrr=0.1,0.2"], "model.lrr"),
        (["softmax", "--set", "model.lr=0.1,-2"], "lr is -2"),
        (["softmax", "--set", "seed_everything=1,2"], "give --seeds"),
        (["softmx", "--seeds", "3"], "did you mean softmax"),
        (["demos/rbm", "--set", "model.lr=0.1,0.2"], "rbm has no validation loss to choose settings by"),
        (["unvalidated.yaml", "--set", "model.lr=0.1,0.2"], "has no validation images, by which settings are chosen"),
        (["softmax", "--set", "model.dropout=0.1"], "`zoo fit --config NAME --print_config` shows them"),
        (["softmax", "--seeds", "3", "--storage", ""], "--storage is empty"),
        (["softmax", "--report", "--storage", "other"], "The study in other is of dropout"),
        (["softmax", "--seeds", "3", "--storage", "file/study"], "Not a directory"),
        (["softmax", "--seeds", "3", "--storage", "file"], "file"),
        (["softmax", "--seeds", "3", "--storage", "/proc/study"], "Cannot write"),
        (["softmax", "--seeds", "3", "--storage", "."], "holds other files"),
        (["softmax", "--report"], "There is no study in studies/softmax"),
        (["softmax", "--report", "--storage", "file"], "file"),
    ],
)
def test_mistakes_are_told_in_a_sentence_before_anything_is_written(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    Path("unvalidated.yaml").write_text(CONFIG.format(images=400, epochs=2).replace("val_size: 1000", "val_size: 0"))
    Path("other").mkdir()
    Path("other/study.json").write_text(json.dumps({"format": 1, "name": "dropout", "settings": {}, "config": {}}))
    assert message in error_output(["study", *words], capsys)


@pytest.mark.parametrize(("status", "requeued"), [(143, "requeue 70_3\n"), (0, ""), (1, "")])
def test_a_task_of_a_slurm_array_requeues_itself_and_not_the_array(status: int, requeued: str) -> None:
    for name, content in (("srun", f'echo "$@" >> started; exit {status}'), ("scontrol", 'echo "$@" >> requeued')):
        Path(name).write_text(f"#!/bin/sh\n{content}\n")
        Path(name).chmod(0o755)
    task = {"SLURM_JOB_ID": "70", "SLURM_ARRAY_JOB_ID": "70", "SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "8"}
    environment = {**os.environ, **task, "PATH": f"{Path.cwd()}:{os.environ['PATH']}"}
    script = Path(SOURCE, "configs/trainer/study.sbatch")
    assert subprocess.run(["bash", str(script)], env=environment).returncode == status
    assert " zoo study " in Path("started").read_text()
    assert (Path("requeued").read_text() if Path("requeued").exists() else "") == requeued


def children_of(process: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_for_epoch(storage: Storage, process: subprocess.Popen[str], generation: int = 1) -> int:
    """Wait until a worker's training has ended an epoch and return the trial's number."""
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        for path in storage.folder.glob(f"trials/*/attempt-{generation}/metrics.jsonl"):
            owner = json.loads((path.parent.parent / f"claim-{generation}.json").read_bytes())
            number = int(path.parent.parent.name)
            if owner["pid"] == process.pid and '"epoch": 1' in path.read_text() and storage.result(number) is None:
                return number
        time.sleep(0.02)
    raise AssertionError("no epoch has ended")


def wait_until_taken_over(storage: Storage, number: int) -> None:
    deadline = time.monotonic() + 200
    while not (storage.trial_folder(number) / "claim-2.json").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_worker_that_is_killed_and_one_that_is_stopped_lose_and_repeat_nothing() -> None:
    study = ["study", write_config(images=20_000, epochs=20), "--seeds", "6"]
    assert main([*study, "--storage", "undisturbed"]) == 0

    shared = [*study, "--storage", "disturbed", "--jobs", "1", "--lease", "3"]
    storage = Storage(Path("disturbed"))
    workers = [start_zoo(*shared) for _ in range(2)]
    try:
        killed, stopped = workers
        killed_trial = wait_for_epoch(storage, killed)
        children = children_of(killed.pid)
        assert len(children) == 1
        killed.kill()
        killed.communicate()
        time.sleep(0.5)
        assert not any(map(is_running, children)), "a training outlives its worker"

        stopped_trial = wait_for_epoch(storage, stopped)
        os.kill(stopped.pid, signal.SIGSTOP)
        workers.append(start_zoo(*shared))
        wait_until_taken_over(storage, stopped_trial)
        os.kill(stopped.pid, signal.SIGCONT)
        for worker in workers[1:]:
            output, errors = worker.communicate(timeout=600)
            assert worker.returncode == 0, errors
            assert "6 of 6 trials have ended (6 finished)" in output
    finally:
        for worker in workers:
            worker.kill()
    assert [trial.number for trial in read_trials(Path("disturbed"))] == list(range(6))
    assert outcomes("disturbed") == outcomes("undisturbed")
    assert (storage.trial_folder(killed_trial) / "claim-2.json").exists()
    assert list(storage.folder.rglob("*.ckpt")) == []


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_same_line_goes_on_after_a_signal(number: signal.Signals) -> None:
    study = ["study", write_config(images=20_000, epochs=20), "--seeds", "2", "--jobs", "1"]
    assert main([*study, "--storage", "undisturbed"]) == 0
    worker = start_zoo(*study, "--storage", "disturbed")
    try:
        trial = wait_for_epoch(Storage(Path("disturbed")), worker)
        worker.send_signal(number)
        _, errors = worker.communicate(timeout=200)
    finally:
        worker.kill()
    assert worker.returncode == 128 + number
    assert "the same line goes on" in errors
    assert "Traceback" not in errors
    assert main([*study, "--storage", "disturbed"]) == 0
    assert outcomes("disturbed") == outcomes("undisturbed")
    attempt = Storage(Path("disturbed")).trial_folder(trial) / "attempt-2"
    assert "Going on from" in (attempt / "output.txt").read_text()
