from __future__ import annotations

import json
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
    assert [line.split()[0] for line in lines[1:-1]] == zoo.list_models()
    assert lines[-1] == "Demonstrations that ship trained: rbm (`zoo info NAME`)."
    assert main(["list", "deep*"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(zoo.list_models("deep*"))


def test_list_filters_sorts_and_speaks_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--sort", "accuracy", "--pretrained"]) == 0
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:]]
    ranked = sorted(zoo.list_models(pretrained=True), key=lambda name: -(zoo.model_info(name).test_accuracy or 0))
    assert [row[0] for row in rows[: len(ranked)]] == ranked
    assert main(["list", "soft*", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert list(found) == ["softmax"]
    assert found["softmax"]["test_accuracy"] == zoo.model_info("softmax").test_accuracy
    assert main(["list", "nothing"]) == 0
    assert capsys.readouterr().out == "No member matches 'nothing'.\n"


@pytest.mark.parametrize("name", zoo.list_models(pretrained=True))
def test_info_says_what_is_known(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", name]) == 0
    text = capsys.readouterr().out
    info = zoo.model_info(name)
    assert text.startswith(name)
    assert info.figures is not None
    assert all(
        word in " ".join(text.split())
        for word in (info.description, f"{info.figures['test_errors']:,} of", info.figures["sha256"])
    )
    assert max(map(len, text.splitlines())) <= 100
    assert main(["info", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == info.figures["sha256"]


@pytest.mark.parametrize("words", [["list"], ["info", "softmax"], ["--version"]])
def test_a_look_takes_less_than_half_a_second_and_no_torch(words: list[str]) -> None:
    program = f"import sys; from zoo.cli import main; main({words!r}); sys.exit('torch' in sys.modules)"
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert time.perf_counter() - started < 0.5


def test_python_m_zoo() -> None:
    run = subprocess.run([sys.executable, "-m", "zoo", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"zoo {zoo.__version__}\n"
