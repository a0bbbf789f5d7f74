from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import error_output
from tests.written_studies import write_study
from zoo.cli import main
from zoo.cli.verbs.reproduce import verdict
from zoo.pretrained import registry

PUBLISHED = [187, 185, 187]
"""The floor is √(186.33/2) = 9.652, the mean 186.333."""


@pytest.mark.parametrize(
    ("found", "inside", "words"),
    [
        ([187], True, "m is reproduced. 1 run made 187 errors, within the interval 138 to 235.\n"),
        ([138], True, "m is reproduced. 1 run made 138 errors"),
        ([137], False, "m is NOT reproduced: better. 1 run made 137 errors, below the interval 138 to 235.\n"),
        ([236], False, "m is NOT reproduced: worse. 1 run made 236 errors, above the interval 138 to 235.\n"),
        # 4.302653 · 9.6523 · √(1/4 + 1/3) = 31.719
        ([180, 190, 200, 211], True, "4 runs made 195.2 errors on average, within the interval 154.5 to 218.2.\n"),
        ([219, 218, 219, 218], False, "m is NOT reproduced: worse. 4 runs made 218.5 errors on average, above"),
    ],
)
def test_each_outcome_has_its_words(found: list[int], inside: bool, words: str) -> None:
    was_inside, text = verdict("m", PUBLISHED, found, 10_000)
    assert was_inside is inside
    assert words in text
    assert "By the published errors, 186.3 ± 1.2 (n = 3), 95 of 100 such results are in it." in text


def test_the_loss_that_the_runs_would_have_shown_is_said() -> None:
    # The bound is 218.25: 31.917 above the mean, and 0.841621 · 9.6523 / √4 = 4.062.
    _, text = verdict("m", PUBLISHED, [180, 190, 200, 211], 10_000)
    assert (
        "A recipe that makes 36.0 errors more on average would have been found worse with a probability of 80 %" in text
    )


def test_a_mean_that_is_just_outside_differs_from_the_printed_bound() -> None:
    count = 30
    bound = next(
        total
        for total in range(180 * count, 300 * count)
        if not verdict("m", PUBLISHED, _runs(total, count), 10_000)[0]
    )
    words = verdict("m", PUBLISHED, _runs(bound, count), 10_000)[1].split()
    assert words[words.index("made") + 1] != words[words.index("to") + 1].rstrip(".")


def _runs(total: int, count: int) -> list[int]:
    """Return counts of errors with a given sum."""
    return [total // count] * (count - 1) + [total - total // count * (count - 1)]


def test_a_single_published_run_has_no_standard_deviation() -> None:
    assert "200.0 (n = 1)" in verdict("m", [200], [210], 10_000)[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--seeds", "0"], "--seeds is 0, but at least 1 run is needed"),
        (["--seeds", "-3"], "--seeds is -3, but at least 1 run is needed"),
        (["--seeds", "two"], "--seeds"),
        (["--first_seed", "-1"], "--first_seed is -1, but a seed is 0 or more"),
        (["--first_seed", "4294967295", "--seeds", "2"], "The last seed is 4294967296, but"),
        (["--seed", "1"], "did you mean --seeds?"),
        (["--study", "study", "--seeds", "2"], "leave out --seeds and --first_seed"),
        (["--study", "study", "--first_seed", "0"], "leave out --seeds and --first_seed"),
        (["--study", "missing"], "There is no table of a study"),
        (["--study", "other"], "another recipe"),
        (["--study", "failed"], "No run in failed has a result"),
    ],
)
def test_usage_errors_print_one_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(Path("study"), [840])
    write_study(Path("failed"), [None])
    write_study(Path("other"), [840], config=registry.read_index()["dropout"]["config"])
    assert sentence in error_output(["reproduce", "softmax", *arguments], capsys)


@pytest.mark.parametrize(
    ("errors", "status", "words"),
    [
        ([830, 840, None, 850], 0, "softmax is reproduced. 3 runs made 840.0 errors on average"),
        ([600], 1, "softmax is NOT reproduced: better. 1 run made 600 errors"),
        ([1000, 1010], 1, "softmax is NOT reproduced: worse. 2 runs made 1,005.0 errors on average"),
    ],
)
def test_the_runs_of_a_study_stand_for_trainings(
    errors: list[int | None], status: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_study(Path("study"), errors, config=registry.read_index()["softmax"]["config"])
    assert main(["reproduce", "softmax", "--study", "study"]) == status
    output = capsys.readouterr().out
    assert words in output
    assert ("1 more failed" in output) == (None in errors)
