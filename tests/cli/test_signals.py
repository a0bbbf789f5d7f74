"""Every end is quiet: by a signal, at any moment, and by a reader that leaves."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import SOURCE, start_zoo
from zoo.cli import VERBS, main

STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def status_of(arguments: list[str]) -> int:
    """Return the status with which a command ends in this process."""
    try:
        return main(arguments)
    except SystemExit as end:
        return int(end.code or 0)


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("verb", VERBS)
def test_a_signal_ends_every_verb(
    verb: str, number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = [signal.getsignal(each) for each in STATUS]
    monkeypatch.setattr(f"{VERBS[verb][0]}.run", lambda *_: os.kill(os.getpid(), number))
    assert status_of([verb]) == STATUS[number]
    assert capsys.readouterr().err.count("\n") == 1
    assert [signal.getsignal(each) for each in STATUS] == before


@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize("swallowed", [False, True])
def test_a_signal_that_a_library_takes_for_an_error_ends_the_command(
    swallowed: bool, number: signal.Signals, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(verb: str, arguments: list[str]) -> int:
        try:
            os.kill(os.getpid(), number)
        except BaseException:
            if not swallowed:
                raise RecursionError("as numpy does when its import is interrupted") from None
        return 0

    monkeypatch.setattr("zoo.cli.verbs.list.run", run)
    assert status_of(["list"]) == STATUS[number]
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "place", "folder"),
    [
        (["fit", "--config", "softmax"], "zoo.cli.verbs.trainer.quieten_lightning", "logs"),
        (["study", "softmax", "--seeds", "2"], "zoo.cli.verbs.study._available_cores", "studies/softmax/trials"),
        (["bench", "softmax"], "zoo.cli.verbs.bench._header_lines", "logs"),
        (["figures", "xor"], "zoo.cli.verbs.figures.check_source", "figures/xor.png"),
    ],
)
def test_a_signal_that_a_library_swallows_ends_the_command_before_its_long_work(
    arguments: list[str],
    place: str,
    folder: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def swallow(*_: object) -> Any:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
        return ["1"] if "bench" in place else 1

    monkeypatch.setattr(place, swallow)
    monkeypatch.setattr("zoo.cli.verbs.bench.measure_epochs", lambda *_: Path("logs").mkdir())
    assert main(arguments) == 130
    assert capsys.readouterr().err.endswith("zoo: interrupted\n")
    assert not Path(folder).exists()


def test_a_reader_that_leaves_is_no_success(tmp_path: Path) -> None:
    script = f"{sys.executable} -m zoo list 2>errors | true; echo ${{PIPESTATUS[0]}}"
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    shown = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert shown.stdout == "141\n"
    assert Path("errors").read_text() == ""


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("number", STATUS)
@pytest.mark.parametrize(
    "arguments",
    [["verify", "--all"], ["fit", "--config", "dropout_batchnorm"], ["figures", "dropout"], ["compare"], ["bench"]],
    ids=lambda arguments: arguments[0],
)
def test_a_signal_at_any_moment_is_quiet(arguments: list[str], number: signal.Signals, seconds: float) -> None:
    process = start_zoo(*arguments)
    time.sleep(seconds)
    process.send_signal(number)
    errors = process.communicate(timeout=60)[1]
    # Before the command has begun, the signal itself ends the process; a shell shows the same status.
    assert process.returncode in (STATUS[number], -number)
    assert "Traceback" not in errors
    assert not list(Path().rglob("*.tmp"))


def test_a_deleted_current_folder_is_no_traceback() -> None:
    folder = Path("deleted").absolute()
    folder.mkdir()
    script = f"cd {folder} && rmdir {folder} && {sys.executable} -m zoo info softmax"
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    completed = subprocess.run(["bash", "-c", script], env=environment, capture_output=True, text=True)
    assert (completed.returncode, completed.stderr) == (0, "")
