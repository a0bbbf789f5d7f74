"""What a shell completes, by the script of `zoo completion`."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import SOURCE, error_output
from zoo.cli import VERBS, main

COMPLETE = """
source ./zoo.bash
COMP_WORDS=({words}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); COMPREPLY=()
_shtab_zoo zoo "${{COMP_WORDS[COMP_CWORD]}}" "${{COMP_WORDS[COMP_CWORD - 1]}}"
printf "%s\\n" "${{COMPREPLY[@]}}"
"""


@pytest.fixture
def script(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("shtab", reason="needs shtab, which is in .[completion]")
    assert main(["completion", "bash"]) == 0
    Path("zoo.bash").write_text(capsys.readouterr().out)


def completed(*words: str) -> list[str]:
    """Return what bash completes the last word to."""
    program = COMPLETE.format(words=" ".join(map(shlex.quote, ("zoo", *words))))
    return subprocess.run(["bash", "-c", program], check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.usefixtures("script")
def test_bash_completes_commands_flags_names_and_files() -> None:
    Path("own.ckpt").touch()
    assert set(completed("")) >= set(VERBS)
    assert completed("exp") == ["export"]
    assert completed("export", "--") == ["--help", "--best", "--format", "--output"]
    assert completed("export", "dropout_") == ["dropout_batchnorm"]
    assert completed("export", "ow") == ["own.ckpt"]
    assert completed("export", "dropout", "--format", "o") == ["onnx"]
    assert completed("compare", "--against", "resid") == ["residual", "residual_cnn"]
    assert completed("fit", "--config", "trainer/mlf") == ["trainer/mlflow"]
    assert completed("fit", "--trainer.max") == ["--trainer.max_epochs"]
    assert completed("test", "--ckpt_path", "softm") == ["softmax"]


@pytest.mark.slow
def test_the_script_is_made_without_torch() -> None:
    pytest.importorskip("shtab", reason="needs shtab, which is in .[completion]")
    program = "import sys\nsys.modules['torch'] = None\nfrom zoo.cli import main\nsys.exit(main(['completion', 'zsh']))"
    ended = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env={"PYTHONPATH": SOURCE}, check=True
    )
    assert "#compdef zoo" in ended.stdout
    assert "_zoo_networks()" in ended.stdout


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert ".[completion]" in error_output(["completion", "bash"], capsys)
