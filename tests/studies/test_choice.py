from __future__ import annotations

import math

from zoo.studies.choice import chosen_settings
from zoo.studies.trial import State, Trial


def trial(
    number: int, setting: float, val_loss: float | None, state: State = "finished", test_loss: float = 0
) -> Trial:
    return Trial(number, 0, {"model.lr": setting}, state, val_loss=val_loss, test_loss=test_loss)


def test_the_lowest_mean_validation_loss_is_chosen_whatever_the_test_set_says() -> None:
    trials = [trial(0, 0.1, 0.2), trial(1, 0.1, 0.6), trial(2, 0.2, 0.3, test_loss=9), trial(3, 0.2, 0.4, test_loss=9)]
    assert chosen_settings(trials) == chosen_settings(trials[::-1]) == {"model.lr": 0.2}


def test_of_equal_settings_the_first_is_chosen() -> None:
    assert chosen_settings([trial(1, 0.2, 0.3), trial(0, 0.1, 0.3)]) == {"model.lr": 0.1}


def test_settings_that_did_not_always_finish_are_chosen_last() -> None:
    unsteady = [trial(0, 0.1, 0.1), trial(1, 0.1, None, "failed"), trial(2, 0.3, 0.1), trial(3, 0.3, None, "pruned")]
    assert chosen_settings([*unsteady, trial(4, 0.2, 0.9)]) == {"model.lr": 0.2}
    assert chosen_settings(unsteady) == {"model.lr": 0.1}


def test_without_a_loss_nothing_is_chosen() -> None:
    assert chosen_settings([]) is None
    assert chosen_settings([trial(0, 0.1, math.nan), trial(1, 0.1, None), trial(2, 0.1, None, "failed")]) is None
