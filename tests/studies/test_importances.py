from __future__ import annotations

import random
import sys
from dataclasses import replace

import pytest

from zoo.studies.importances import LEAST_TRIALS, importances
from zoo.studies.settings import parse_settings
from zoo.studies.trial import Trial

pytest.importorskip("optuna", reason="needs Optuna, which is in .[studies]")

SPACE = parse_settings(["model.lr=log:1e-4:1e-2", "model.width=int:1:64", "model.activation=relu,elu", "model.x=[1,2]"])


def trials(count: int, by: str) -> list[Trial]:
    """Return trials whose validation loss depends on one setting alone, and whose test loss on none."""
    generator = random.Random(0)
    made = []
    for number in range(count):
        lr, width, activation = generator.random(), generator.randint(1, 64), generator.choice(("relu", "elu"))
        settings = {
            "model.lr": 1e-4 * 100**lr,
            "model.width": width,
            "model.activation": activation,
            "model.x": "[1,2]",
        }
        loss = {"model.lr": (lr - 0.5) ** 2, "model.width": 1 / width, "model.activation": len(activation)}[by]
        made.append(Trial(number, 0, settings, "finished", val_loss=loss + generator.random() / 50))
    return made


@pytest.mark.parametrize("by", ["model.lr", "model.width", "model.activation"])
def test_the_setting_on_which_the_loss_depends_is_first(by: str) -> None:
    shares = importances(trials(40, by), SPACE)
    assert next(iter(shares)) == by
    assert shares[by] > 0.5
    assert sum(shares.values()) == pytest.approx(1)
    assert "model.x" not in shares  # it has a single value


def test_test_metrics_and_unfinished_trials_do_not_count() -> None:
    made = trials(40, "model.lr")
    expected = importances(made, SPACE)
    pruned = [replace(trial, number=99, state="pruned", val_loss=None, val_losses=(0.0,)) for trial in made]
    tested = [replace(trial, test_loss=float(trial.number), test_errors=trial.number) for trial in made]
    assert importances([*tested, *pruned], SPACE) == expected


def test_nothing_is_said_of_few_trials_of_one_setting_or_without_optuna(monkeypatch: pytest.MonkeyPatch) -> None:
    made = trials(LEAST_TRIALS, "model.lr")
    assert importances(made, SPACE)
    assert importances(made[1:], SPACE) == {}
    assert importances(made, parse_settings(["model.lr=log:1e-4:1e-2", "model.x=[1,2]"])) == {}
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert importances(made, SPACE) == {}
