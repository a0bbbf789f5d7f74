from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from zoo.studies.pictures import draw_study
from zoo.studies.settings import parse_settings
from zoo.studies.settings_pictures import draw_settings
from zoo.studies.trial import State, Trial
from zoo.utils.errors import UsageError

SPACE = parse_settings(["model.lr=log:1e-4:1e-2", "model.dropout=uniform:0:0.5", "model.activation=relu,elu,[1]"])
SETTINGS = [
    {"model.lr": 1e-4, "model.dropout": 0.1, "model.activation": "relu"},
    {"model.lr": 1e-3, "model.dropout": 0.2, "model.activation": "elu"},
    {"model.lr": 1e-2, "model.dropout": 0.3, "model.activation": "[1]"},
    {"model.lr": 2e-3, "model.dropout": 0.4, "model.activation": "relu"},
]
TRIALS = [
    Trial(0, 0, SETTINGS[0], "finished", val_losses=(0.5, 0.3), val_loss=0.3, val_accuracy=0.9, test_errors=100),
    Trial(1, 0, SETTINGS[1], "finished", val_losses=(0.4, 0.2), val_loss=0.2, val_accuracy=0.95, test_errors=200),
    Trial(2, 0, SETTINGS[2], "failed", message="The loss is nan."),
    Trial(3, 0, SETTINGS[3], "pruned", val_losses=(0.9, 0.8)),
]


def seeds(errors: Sequence[int], processor: str = "a processor") -> list[Trial]:
    machine = {"processor": processor, "device": "CPU with 1 thread"}
    finished = Trial(0, 0, {}, "finished", val_loss=0.1, test_images=10_000, machine=machine)
    return [replace(finished, number=seed, seed=seed, test_errors=each) for seed, each in enumerate(errors)]


def marks(ax: Any, label: str) -> list[tuple[float, float]]:
    lines = [line for line in ax.lines if line.get_label() == label]
    return [(float(x), float(y)) for line in lines for x, y in zip(*line.get_data(), strict=True)]


def drawn(trials: Sequence[Trial], path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return the figure that is saved as a study's picture."""
    figures = []
    monkeypatch.setattr("zoo.studies.pictures.save_figure", lambda figure, path: figures.append(figure))
    draw_study(trials, None, path)
    return figures[0]


def test_settings_are_drawn_against_validation_loss_and_error() -> None:
    axes = draw_settings(TRIALS, SPACE).axes
    assert [ax.get_xscale() for ax in axes] == ["log", "linear", "linear"] * 2
    assert [ax.get_title() for ax in axes[:3]] == list(SPACE.settings)
    assert marks(axes[0], "finished") == [(1e-4, 0.3), (1e-3, 0.2)]
    assert [y for _, y in marks(axes[3], "finished")] == pytest.approx([10, 5])
    assert [ax.get_ylabel() for ax in axes[::3]] == ["validation loss in nats", "validation error in %"]
    assert [label.get_text() for label in axes[5].get_xticklabels()] == ["relu", "elu", "[1]"]
    places = [round(place) for place, _ in marks(axes[2], "finished")]
    assert places == [0, 1]


def test_the_chosen_the_pruned_and_the_failed_trials_are_marked() -> None:
    axes = draw_settings(TRIALS, SPACE).axes
    assert marks(axes[0], "chosen") == [(1e-3, 0.2)]
    assert [y for _, y in marks(axes[3], "chosen")] == pytest.approx([5])
    assert marks(axes[0], "pruned, at its last loss") == [(2e-3, 0.8)]
    assert marks(axes[3], "pruned, at its last loss") == []  # it has no error
    assert [marks(ax, "failed")[0][0] for ax in (axes[0], axes[3])] == [1e-2, 1e-2]


def test_every_run_of_the_chosen_settings_is_marked() -> None:
    seeds_of_both = [replace(trial, number=2 * trial.number + seed, seed=seed) for trial in TRIALS for seed in (0, 1)]
    assert len(marks(draw_settings(seeds_of_both, SPACE).axes[0], "chosen")) == 2


def test_test_metrics_are_not_in_a_picture_of_settings(tmp_path: Path) -> None:
    changed = [replace(trial, test_errors=7, test_loss=7.0, test_accuracy=0.7, test_images=77) for trial in TRIALS]
    draw_study(TRIALS, SPACE, tmp_path / "one.png")
    draw_study(changed, SPACE, tmp_path / "other.png")
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


def test_the_median_follows_a_range() -> None:
    lr = [1e-4 * 100 ** (number / 39) for number in range(40)]
    made = [Trial(n, 0, {"model.lr": each}, "finished", val_loss=1 + each) for n, each in enumerate(lr)]
    ax = draw_settings(made, parse_settings(["model.lr=log:1e-4:1e-2"])).axes[0]
    points = marks(ax, "median")
    assert len(points) > 20
    assert all(y == pytest.approx(1 + x) for x, y in points)


def test_losses_of_different_orders_are_drawn_on_a_logarithmic_axis() -> None:
    diverged = replace(TRIALS[0], number=9, val_loss=1e6)
    assert draw_settings(TRIALS, SPACE).axes[0].get_yscale() == "linear"
    assert draw_settings([*TRIALS, diverged], SPACE).axes[0].get_yscale() == "log"


def test_every_kind_of_processor_has_a_panel_with_a_dot_for_each_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = [200 + number % 7 for number in range(100)]
    figure = drawn([*seeds(errors), *seeds([300], "another")], tmp_path, monkeypatch)
    assert [ax.get_title().split(":")[0] for ax in figure.axes] == ["a processor", "another"]
    many, one = figure.axes
    columns = sorted(x for x, _ in marks(many, "a run"))
    assert columns == pytest.approx(sorted(errors), abs=1)  # of two numbers of errors each
    assert len(set(marks(many, "a run"))) == 100  # none hides another
    assert marks(many, "mean")[0][0] == pytest.approx(sum(errors) / 100)
    (low, _), (high, _) = marks(many, "95 % interval of the mean")
    assert low < sum(errors) / 100 < high
    assert len(marks(one, "a run")) == 1
    assert marks(one, "95 % interval of the mean") == []
    assert len(marks(one, "95 % interval for one more run")) == 2


@pytest.mark.parametrize("count", [0, 2, *(pytest.param(count, marks=pytest.mark.slow) for count in (1, 200))])
@pytest.mark.parametrize("names", [0, 5, pytest.param(1, marks=pytest.mark.slow)])
def test_a_picture_is_drawn_whatever_has_ended(tmp_path: Path, count: int, names: int) -> None:
    space = parse_settings([f"model.x{name}=uniform:0:1" for name in range(names)])
    losses = [0.1, math.nan, 1e30, 0.0, math.inf]
    states: tuple[State, ...] = ("finished", "finished", "pruned", "failed")
    trials = [
        Trial(
            number=number,
            seed=number,
            settings={name: number / 200 for name in space.settings},
            state=states[number % 4],
            val_losses=(losses[number % 5],),
            val_loss=losses[number % 5] if number % 4 < 2 else None,
            val_accuracy=0.5 if number % 3 else None,
            test_errors=number if number % 4 < 2 else None,
            test_images=10_000,
        )
        for number in range(count)
    ]
    draw_study(trials, space, tmp_path / "study.png")
    with Image.open(tmp_path / "study.png") as image:
        assert image.width > 500
    draw_study(trials, space, tmp_path / "study.png")  # over its own picture


def test_a_file_that_is_not_the_zoos_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "study.png").write_bytes(b"mine")
    with pytest.raises(UsageError, match="was not written by zoo"):
        draw_study([], None, tmp_path / "study.png")


def test_the_log_likelihoods_of_an_rbm_are_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = [-87.3, -87.6, -87.9]
    trials = [
        Trial(seed, seed, {}, "finished", likelihood={"log_likelihood": each}) for seed, each in enumerate(values)
    ]
    figure = drawn(trials, tmp_path / "study.png", monkeypatch)
    places = [x for x, _ in marks(figure.axes[0], "a run")]
    assert places == pytest.approx(sorted(values), abs=0.01)
    assert figure.axes[0].get_xlabel() == "test log-likelihood in nats"
    assert "3 runs: test log-likelihood" in figure.get_suptitle()
