from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import binomtest

import zoo
from tests.helpers import error_output
from tests.written_studies import write_study
from zoo.cli import main
from zoo.inference.comparison import Comparison, ContingencyTable, contingency_table
from zoo.inference.pairs_picture import draw_pairs
from zoo.metrics.recipe_comparison import compare_recipes, holm


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
    assert "McNemar's exact test, 1 comparison:" in output
    words = output.splitlines()[-2].replace(",", "").split()
    only_right = {name: int(words[words.index(name, words.index("and") + 2) - 2]) for name in errors}
    assert only_right["dropout"] - only_right["softmax"] == errors["softmax"] - errors["dropout"]
    assert "dropout makes fewer errors on such images" in output
    assert Path("comparison/compare.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_without_names_all_members_form_a_committee_and_every_pair_is_drawn(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["compare"]) == 0
    lines = capsys.readouterr().out.splitlines()
    names = zoo.list_models(pretrained=True)
    assert [line.split()[0] for line in lines[1 : len(names) + 1]] == names
    assert lines[len(names) + 1].startswith("committee, mean probability")
    assert lines[len(names) + 2].startswith("committee, vote")
    assert "--against NAME" in lines[len(names) + 3]
    assert len(lines) == len(names) + 5
    assert Path("comparison/compare.png").read_bytes().startswith(b"\x89PNG")


def test_members_are_compared_with_the_one_that_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "softmax", "deep_relu", "dropout", "selu", "--against", "dropout"]) == 0
    lines = capsys.readouterr().out.splitlines()
    heading = "McNemar's exact test, 3 comparisons, p-values corrected for them by Holm's method:"
    pairs = lines[lines.index(heading) + 1 : -1]
    assert [line.split(":")[0] for line in pairs] == [
        f"dropout and {name}" for name in ("softmax", "deep_relu", "selu")
    ]
    printed = [re.search(r"p = ([\d.e-]+): (.*)", line) for line in pairs]
    alone = [[int(count) for count in re.findall(r"(\d+) by \w+ alone", line)] for line in pairs]
    corrected = holm([binomtest(first, first + second).pvalue for first, second in alone])
    for found, p in zip(printed, corrected, strict=True):
        assert found is not None
        assert float(found[1]) == pytest.approx(p, rel=0.06)
        assert ("may well be chance" in found[2]) == (p > 0.05)
    assert Path("comparison/compare.png").read_bytes().startswith(b"\x89PNG")


def test_the_picture_of_all_pairs_has_the_differences_and_greys_what_may_be_chance() -> None:
    labels = torch.zeros(100, dtype=torch.int64)
    right = {"good": 98, "as_good": 97, "bad": 40}
    predictions = {name: (torch.arange(100) >= count).long() for name, count in right.items()}
    figure = draw_pairs(Comparison(torch.zeros(100, 1, 28, 28), labels, predictions, labels, labels))
    (axes,) = figure.axes
    texts = {(round(text.get_position()[1]), round(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert texts[0, 1] == "−1"
    assert texts[2, 0] == "+58"
    assert texts[0, 2] == "−58"
    drawn = np.ma.getmaskarray(np.ma.asarray(axes.images[0].get_array()))
    assert drawn[0, 1]
    assert not drawn[0, 2]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["softmax"], "two different members"),
        (["softmax", "softmax"], "two different members"),
        (["softmax", "dropuot"], "did you mean dropout"),
        (["softmax", "rbm"], "no classifier"),
        (["softmax", "--against", "softmax"], "two different members"),
        (["softmax", "--against", "dropuot"], "did you mean dropout"),
        (["--recipes", "--against", "softmax"], "two different recipes"),
        (["--recipes"], "two different recipes"),
        (["--recipes", "softmax"], "two different recipes"),
        (["--recipes", "softmax", "softmax"], "two different recipes"),
        (["--recipes", "study", "study/"], "two different recipes"),
        (["--recipes", "softmax", "dropuot"], "did you mean dropout"),
        (["--recipes", "softmax", "rbm"], "no classifier"),
        (["--recipes", "softmax", "empty"], "no table of a study"),
        (["--recipes", "softmax", "one"], "one has one run, and of each recipe two are needed"),
        (["--recipes", "equal", "equal_too"], "without a spread there is nothing to test"),
    ],
)
def test_usage_errors_print_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    write_study(Path("study"), [5, 6])
    write_study(Path("one"), [5, None])
    write_study(Path("equal"), [5, 5])
    write_study(Path("equal_too"), [6, 6, 6])
    assert sentence in error_output(["compare", *words], capsys)


XEON = [247, 199, 215, 247, 213, 203, 207, 227]
"""Errors of eight runs of ``deep_relu_xavier`` on an Intel Xeon; their mean is 219.75."""


def test_the_recipes_of_members_and_studies_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    write_study(Path("epyc"), [187, 185, 187])
    write_study(Path("studies/xeon"), [*XEON[:4], None, *XEON[4:]])
    assert main(["compare", "--recipes", "epyc", "studies/xeon"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "epyc: 186.3 ± 1.2 errors, n = 3"
    assert lines[1].startswith("studies/xeon: 219.8 ± 18.8 errors, n = 8; 1 more failed or was stopped early")
    assert lines[2] == "Welch's t-test, 1 comparison:"
    difference = compare_recipes([187, 185, 187], XEON)
    assert lines[3].startswith("epyc makes 33.4 errors fewer on average than studies/xeon: difference −33.4")
    assert f"p = {difference.p_value:.2g}: epyc is the better recipe" in lines[3]
    assert "the bootstrap interval is too narrow" in lines[4]
    assert lines[5].startswith("The runs of epyc differ by 1.2 errors (sd), and independent mistakes alone")
    assert lines[6:] == ["Picture: comparison/recipes.png"]
    assert [path.name for path in Path("comparison").iterdir()] == ["recipes.png"]


def test_the_published_runs_of_members_are_compared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "--recipes", "deep_relu_xavier", "softmax"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("deep_relu_xavier: ")
    assert "deep_relu_xavier is the better recipe" in lines[3]


def test_several_recipes_are_corrected_for_their_number(capsys: pytest.CaptureFixture[str]) -> None:
    studies = {"one": [100, 120, 110, 90], "two": [105, 125, 118, 99], "three": [140, 160, 155, 170]}
    for name, errors in studies.items():
        write_study(Path(name), errors)
    assert main(["compare", "--recipes", *studies]) == 0
    output = capsys.readouterr().out
    assert "Welch's t-test, 2 comparisons, p-values corrected for them by Holm's method, intervals not" in output
    p_values = [compare_recipes(studies["one"], studies[other]).p_value for other in ("two", "three")]
    for p in holm(p_values):
        assert f"p = {p:.2g}: " in output
    assert "may well be chance" in output
    assert "one is the better recipe" in output


def test_many_runs_that_differ_need_no_caution(capsys: pytest.CaptureFixture[str]) -> None:
    write_study(Path("one"), [*XEON, 180, 205])
    write_study(Path("two"), [*XEON, 181, 206])
    assert main(["compare", "--recipes", "one", "two", "--output_dir", "pictures"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert Path("pictures/recipes.png").exists()
