from __future__ import annotations

import re
from inspect import signature

import pytest
from pytorch_lightning import Trainer

import zoo
from zoo.cli import main
from zoo.cli.trainer_flags import OF_THE_TRAINER

VERBS = ("fit", "validate", "test", "predict")


@pytest.mark.parametrize("verb", VERBS)
def test_help_is_short_and_names_every_member(
    verb: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    for flag in ("--help", "-h"):
        assert main([verb, flag]) == 0
        text = capsys.readouterr().out
        assert len(text.splitlines()) < 100
        assert max(map(len, text.splitlines())) <= 100
        assert all(name in text for name in zoo.list_models())
        assert f"zoo {verb} --help_all" in text


def test_help_names_the_choices(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for default in ("[256, 256]", "xavier_uniform", "0.001", "auto"):
        assert f"(default: {default})" in text
    for choices in (
        "adam, adamw, sgd, rmsprop or adagrad",
        "constant, cosine down to 0, or one_cycle",
        "cpu, gpu, mps or auto",
    ):
        assert choices in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_flag_of_the_help_exists(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    main([verb, "--help"])
    shown = set(re.findall(r"^  --(\S+)", capsys.readouterr().out, flags=re.MULTILINE))
    with pytest.raises(SystemExit) as ended:
        main([verb, "--help_all"])
    assert ended.value.code == 0
    everything = set(re.findall(r"--([\w.]+)", capsys.readouterr().out))
    assert {name for name in shown if not name.startswith(("model.", "data."))} <= everything
    assert len(everything) > len(shown)


def test_every_setting_of_the_trainer_in_the_help_is_lightning_s() -> None:
    assert {name.split()[0] for name in OF_THE_TRAINER} <= set(signature(Trainer).parameters)
