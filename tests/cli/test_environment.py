"""Without a home folder, room on the disk or a network, a command works, or says in a sentence why not."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from typing import NoReturn

import pytest

from tests.helpers import SOURCE, error_output, start_zoo
from zoo.utils.errors import UsageError


@pytest.mark.parametrize(
    "arguments", [["figures", "activations"], pytest.param(["verify", "softmax"], marks=pytest.mark.slow)]
)
def test_a_home_that_cannot_be_written_is_not_needed(arguments: list[str]) -> None:
    process = start_zoo(*arguments, HOME="/proc", XDG_CACHE_HOME="/proc", XDG_CONFIG_HOME="/proc")
    assert process.communicate()[1] == ""
    assert process.returncode == 0


@pytest.mark.slow
@pytest.mark.parametrize("verb", [["verify", "softmax"], ["fit", "--config", "softmax"], ["compare"]])
def test_without_room_for_any_file_a_sentence_says_so(verb: list[str]) -> None:
    """The limit on the size of a file stands for disks without room."""
    environment = {"PYTHONPATH": SOURCE, "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    completed = subprocess.run(
        [sys.executable, "-m", "zoo", *verb],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert completed.returncode == 2
    assert completed.stderr == "zoo: No folder for temporary files can be written to: make room, or set TMPDIR.\n"


def test_a_run_whose_record_cannot_be_written_leaves_no_folder(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise UsageError("Cannot write run.json: No space left on device; name another place.")

    monkeypatch.setattr("zoo.runs.run.write_bytes", refuse)
    assert "No space left" in error_output(["fit", "--config", "softmax", "--trainer.accelerator", "cpu"], capsys)
