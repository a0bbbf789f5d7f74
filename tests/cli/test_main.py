from __future__ import annotations

import json
import os
import resource
import subprocess
import sys

import pytest

import zoo
from zoo.cli import main


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"zoo {zoo.__version__}\n"


def test_help_lists_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in ("fit", "validate", "test", "predict", "list"))


@pytest.mark.parametrize(("chosen", "expected"), [(None, "1"), ("0", "0")])
def test_linear_layers_on_a_gpu_avoid_cublaslt_unless_told_otherwise(chosen: str | None, expected: str) -> None:
    program = "import os; from zoo.cli import program; program(); print(os.environ['DISABLE_ADDMM_CUDA_LT'])"
    environment = {name: value for name, value in os.environ.items() if name != "DISABLE_ADDMM_CUDA_LT"}
    environment |= {"DISABLE_ADDMM_CUDA_LT": chosen} if chosen else {}
    run = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert run.stdout.split()[-1] == expected


def test_list_shows_every_member(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:-2]] == zoo.list_models()
    assert lines[-1] == "Demonstrations that ship trained: rbm (`zoo info NAME`)."
    assert main(["list", "deep*"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 1 + len(zoo.list_models("deep*"))


@pytest.mark.parametrize("width", [80, 100, 140])
def test_the_list_fits_the_terminal(
    width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()[:-2]
    assert max(map(len, lines)) <= width
    assert [line.split()[0] for line in lines[1:]] == zoo.list_models()
    assert main(["list", "--wide"]) == 0
    wide = capsys.readouterr().out.splitlines()
    assert all(column in wide[0] for column in ("KiB", "another test set", "images/s"))
    assert zoo.model_info("dropout").description in "\n".join(wide)


def test_list_filters_sorts_and_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--sort", "accuracy", "--pretrained"]) == 0
    rows = [line.split("  ") for line in capsys.readouterr().out.splitlines()[1:]]
    ranked = sorted(zoo.list_models(pretrained=True), key=lambda name: -(zoo.model_info(name).test_accuracy or 0))
    assert [row[0] for row in rows[: len(ranked)]] == ranked
    assert main(["list", "soft*", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert list(listed) == ["softmax"]
    assert listed["softmax"]["test_accuracy"] == zoo.model_info("softmax").test_accuracy
    assert main(["list", "nothing"]) == 0
    assert capsys.readouterr().out == "No member matches 'nothing'.\n"


@pytest.mark.parametrize("name", zoo.list_models(pretrained=True))
def test_info_prints_description_errors_and_sha256(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", name]) == 0
    text = capsys.readouterr().out
    info = zoo.model_info(name)
    assert text.startswith(name)
    assert info.metrics is not None
    assert all(
        word in " ".join(text.split())
        for word in (info.description, f"{info.metrics['test_errors']:,} of", info.metrics["sha256"])
    )
    assert max(map(len, text.splitlines())) <= 100
    assert main(["info", name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == info.metrics["sha256"]


def processor_seconds(program: str) -> float:
    """Run a program and return its processor time, which other work on the machine hardly changes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("arguments", [["list"], ["info", "softmax"], ["--version"]])
def test_quick_commands_take_no_longer_than_the_import_of_numpy_and_need_no_torch(arguments: list[str]) -> None:
    program = f"import sys; from zoo.cli import main; main({arguments!r}); sys.exit('torch' in sys.modules)"
    assert processor_seconds(program) < 1.5 * processor_seconds("import numpy")


def test_package_runs_with_python_m() -> None:
    run = subprocess.run([sys.executable, "-m", "zoo", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"zoo {zoo.__version__}\n"
