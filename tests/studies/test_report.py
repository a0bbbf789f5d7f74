from __future__ import annotations

import math
from typing import Any

import pytest

from zoo.studies.report import chosen_settings, format_report
from zoo.studies.trial import State, Trial


def trial(number: int, errors: int, loss: float = 0.5, state: State = "finished", **settings: Any) -> Trial:
    finished = state == "finished"
    return Trial(
        *(number, number, settings, state),
        val_loss=loss if finished else None,
        test_errors=errors if finished else None,
        test_images=10_000 if finished else None,
        machine={"processor": "AMD", "device": "CPU with 1 thread"},
        message="The loss is nan." if state == "failed" else "",
    )


def test_the_figures_are_those_of_the_runs() -> None:
    report = format_report("softmax", [trial(0, 800), trial(1, 820), trial(2, 840)], 5)
    assert "3 of 5 trials have ended (3 finished)" in report
    # t = 4.3027 with 2 degrees of freedom: 4.3027 · 20 / √3 = 49.7, and 4.3027 · max(20, √410) · √(1 + 1/3) = 100.6
    assert "n 3, mean 820.0, standard deviation 20.0, 95 % interval of the mean 770.3 to 869.7" in report
    assert "one more run 719 to 921" in report


def test_fewer_trials_than_there_are_is_no_count_of_the_rest() -> None:
    assert "x: 2 trials have ended (2 finished)" in format_report("x", [trial(0, 800), trial(1, 820)], 1)
    assert "x: 1 of 1 trial has ended (1 finished)" in format_report("x", [trial(0, 800)], 1)


def test_without_validation_losses_no_setting_is_chosen() -> None:
    assert "No setting is chosen" in format_report("x", [trial(0, 1, math.nan, lr=0.1), trial(1, 2, math.nan, lr=0.2)])


def test_runs_on_other_processors_and_on_gpus_are_apart() -> None:
    others = [
        Trial(3, 3, {}, "finished", test_errors=90, test_images=100, machine={"processor": "Intel", "device": "CPU"}),
        Trial(4, 4, {}, "finished", test_errors=70, test_images=100, machine={"processor": "AMD", "device": "H100"}),
    ]
    lines = format_report("softmax", [trial(0, 800), trial(1, 820), *others]).splitlines()
    found = {line: lines[place + 1] for place, line in enumerate(lines) if line.startswith("On ")}
    assert list(found) == ["On AMD:", "On H100:", "On Intel:"]
    assert "n 2, mean 810.0" in found["On AMD:"]
    assert "n 1, mean 70.0" in found["On H100:"]
    assert "n 1, mean 90.0" in found["On Intel:"]


def test_the_setting_is_chosen_by_validation_and_its_test_errors_alone_are_shown() -> None:
    trials = [
        *(trial(0, 111, 0.4, lr=0.1), trial(1, 222, 0.6, lr=0.1)),  # mean loss 0.50, the best test errors
        *(trial(2, 333, 0.45, lr=0.2), trial(3, 555, 0.45, lr=0.2)),  # mean loss 0.45
    ]
    report = format_report("softmax", trials)
    assert "Chosen by validation: lr=0.2" in report
    assert "n 2, mean 444.0" in report
    assert not any(text in report for text in ("111", "222", "166.5"))
    assert report.index("0.4500 ± 0.0000   n 2   lr=0.2") < report.index("0.5000 ± 0.1414   n 2   lr=0.1")


@pytest.mark.parametrize("state", ["failed", "pruned"])
def test_a_setting_with_a_trial_that_did_not_finish_is_not_chosen(state: State) -> None:
    lucky = [trial(0, 1, 0.1, lr=9.0), trial(1, 0, state=state, lr=9.0)]
    trials = [*lucky, trial(2, 500, 0.5, lr=0.1)]
    assert chosen_settings(trials) == {"lr": 0.1}
    assert "a trial that failed or was pruned were passed over" in format_report("softmax", trials)
    assert "passed over" not in format_report("softmax", trials[2:])
    assert chosen_settings(lucky) == {"lr": 9.0}
    assert f"1 {state}" in format_report("softmax", lucky)


def test_a_loss_that_is_not_a_number_is_not_chosen() -> None:
    assert chosen_settings([trial(0, 1, math.nan, lr=1), trial(1, 1, 3.0, lr=2)]) == {"lr": 2}
    assert chosen_settings([trial(0, 1, math.nan, lr=1)]) is None
    assert chosen_settings([]) is None


def test_failed_trials_are_told_and_long_lists_are_cut() -> None:
    report = format_report("softmax", [trial(number, 0, state="failed", lr=number / 100) for number in range(30)])
    assert "30 trials have ended (0 finished, 30 failed)" in report
    assert "Trial 0 (seed 0 with lr=0.0) failed: The loss is nan." in report
    assert "25 more trials failed" in report
    assert "and 20 more" in report


def test_runs_without_a_test_set_are_told() -> None:
    assert "n 1, without a test set" in format_report("x", [Trial(0, 0, {}, "finished", val_loss=0.1)])
    assert format_report("x", []) == "x: 0 trials have ended (0 finished)"


def test_a_study_of_an_rbm_reports_log_likelihoods() -> None:
    trials = [
        Trial(seed, seed, {}, "finished", likelihood={"log_likelihood": value}, machine={"processor": "AMD"})
        for seed, value in enumerate((-87.0, -88.0, -89.0))
    ]
    report = format_report("rbm", trials)
    # 4.3027 · 1 / √3 = 2.48
    assert "n 3, mean -88.00, standard deviation 1.00, 95 % interval of the mean -90.48 to -85.52" in report
