from __future__ import annotations

import subprocess
import sys
import time

import pytest

import zoo
from zoo.cli import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"zoo {zoo.__version__}\n"


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in ("fit", "validate", "test", "predict", "list"))


def test_list_shows_every_member(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == zoo.list_models()
    assert main(["list", "deep*"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(zoo.list_models("deep*"))


def test_list_takes_less_than_half_a_second_and_no_torch() -> None:
    program = "import sys; from zoo.cli import main; main(['list']); sys.exit('torch' in sys.modules)"
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert time.perf_counter() - started < 0.5


def test_python_m_zoo() -> None:
    run = subprocess.run([sys.executable, "-m", "zoo", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"zoo {zoo.__version__}\n"
