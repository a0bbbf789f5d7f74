from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import complaint
from zoo.cli import main
from zoo.inference.comparison import Paired, pair


def test_mcnemar_s_p_is_that_of_a_coin() -> None:
    """Exact answers: ten tosses with at most one head, or at most one tail: 2·(1 + 10)/1024."""
    assert Paired(90, 1, 9, 0).p_value == pytest.approx(22 / 1024)
    assert Paired(90, 5, 5, 0).p_value == pytest.approx(1)
    assert Paired(100, 0, 0, 0).p_value == 1


def test_images_are_paired() -> None:
    first, second = torch.tensor([True, True, True, False]), torch.tensor([True, False, False, False])
    assert pair(first, second) == Paired(1, 2, 0, 1)


def test_two_members_are_set_against_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "softmax", "dropout"]) == 0
    output = capsys.readouterr().out
    errors = {}
    for name in ("softmax", "dropout"):
        figures = zoo.model_info(name).figures
        assert figures is not None
        errors[name] = figures["test_errors"]
        assert any(line.split()[:2] == [name, f"{errors[name]:,}"] for line in output.splitlines())
    words = output.splitlines()[-2].replace(",", "").split()
    alone = {name: int(words[words.index(name, words.index("and") + 2) - 2]) for name in errors}
    assert alone["dropout"] - alone["softmax"] == errors["softmax"] - errors["dropout"]
    assert "dropout is better" in output
    assert Path("comparison/compare.png").read_bytes().startswith(b"\x89PNG")


def test_all_members_are_a_committee(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = zoo.list_models(pretrained=True)
    assert [line.split()[0] for line in lines[1 : len(names) + 1]] == names
    assert lines[len(names) + 1].startswith("committee, mean probability")
    assert lines[len(names) + 2].startswith("committee, vote")
    assert not Path("comparison").exists()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["softmax"], "two different members"),
        (["softmax", "softmax"], "two different members"),
        (["softmax", "dropuot"], "did you mean dropout"),
        (["softmax", "rbm"], "no classifier"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in complaint(["compare", *words], capsys)
