"""No flag is taken by an abbreviation, which a later flag could change the meaning of."""

from __future__ import annotations

import pytest

from tests.helpers import error_output
from zoo.cli import VERBS, main


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["verify", "--al"], "Unknown flag --al: did you mean --all?"),
        (["reproduce", "softmax", "--seed", "1"], "Unknown flag --seed: did you mean --seeds?"),
        (["reproduce", "--see=1"], "did you mean --seeds?"),
        (["export", "softmax", "--form", "onnx"], "did you mean --format?"),
        (["list", "--jsno"], "did you mean --json?"),
        (["fit", "--conf", "softmax"], "Unknown flag --conf: did you mean --config?"),
        (["fit", "--config", "softmax", "--trainer.max_epo", "1"], "did you mean --trainer.max_epochs?"),
        (["test", "--config", "softmax", "--ckpt", "softmax"], "did you mean --ckpt_path?"),
        (["list", "--unheard-of"], "`zoo list --help` lists them"),
    ],
)
def test_an_abbreviation_is_refused_with_a_hint(
    arguments: list[str], hint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert hint in error_output(arguments, capsys)


@pytest.mark.parametrize("verb", VERBS)
def test_no_verb_takes_the_beginning_of_a_flag(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "Unknown flag --hel" in error_output([verb, "--hel"], capsys)


def test_what_follows_two_dashes_is_no_flag(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--", "--al"]) == 0
    assert capsys.readouterr().out == "No member matches '--al'.\n"
