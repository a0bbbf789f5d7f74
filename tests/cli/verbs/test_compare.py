from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import error_output
from zoo.cli import main
from zoo.inference.comparison import ContingencyTable, contingency_table


def test_p_value_is_the_exact_mcnemar_test() -> None:
    """The p-value is that of a two-sided binomial test. For 1 and 9 discordant images it is 2·(1 + 10)/1024."""
    assert ContingencyTable(90, 1, 9, 0).p_value == pytest.approx(22 / 1024)
    assert ContingencyTable(90, 5, 5, 0).p_value == pytest.approx(1)
    assert ContingencyTable(100, 0, 0, 0).p_value == 1


def test_pair_counts_the_images_of_each_outcome() -> None:
    first, second = torch.tensor([True, True, True, False]), torch.tensor([True, False, False, False])
    assert contingency_table(first, second) == ContingencyTable(1, 2, 0, 1)


def test_two_members_are_compared_and_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "softmax", "dropout"]) == 0
    output = capsys.readouterr().out
    errors = {}
    for name in ("softmax", "dropout"):
        metrics = zoo.model_info(name).metrics
        assert metrics is not None
        errors[name] = metrics["test_errors"]
        assert any(line.split()[:2] == [name, f"{errors[name]:,}"] for line in output.splitlines())
    words = output.splitlines()[-2].replace(",", "").split()
    only_right = {name: int(words[words.index(name, words.index("and") + 2) - 2]) for name in errors}
    assert only_right["dropout"] - only_right["softmax"] == errors["softmax"] - errors["dropout"]
    assert "dropout is better" in output
    assert Path("comparison/compare.png").read_bytes().startswith(b"\x89PNG")


def test_without_names_all_members_form_a_committee(capsys: pytest.CaptureFixture[str]) -> None:
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
def test_usage_errors_print_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in error_output(["compare", *words], capsys)
