"""The lecture's pictures, in small: each from trainings of a moment."""

from __future__ import annotations

import csv
import io
import math
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tests.helpers import complaint
from zoo.cli import main
from zoo.cli.verbs.figures import FIGURES
from zoo.figures import (
    activations,
    comparisons,
    depth,
    dropout,
    ensemble_size,
    initial_values,
    overfitting,
    vanishing_gradient,
)
from zoo.figures.training import progress, train
from zoo.figures.writing import Sheet, read_table

SMALL: dict[str, tuple[Any, dict[str, Any]]] = {
    "vanishing_gradient": (vanishing_gradient, {"IMAGES": 1000, "UNITS": 40}),
    "initial_values": (initial_values, {"IMAGES": 1000, "EPOCHS": 2, "PRETRAIN_EPOCHS": 1, "UNITS": 10}),
    "overfitting": (overfitting, {"IMAGES": 50, "EPOCHS": 2}),
    "dropout": (dropout, {"IMAGES": 100, "EPOCHS": 1, "RATES": (0.0, 0.5)}),
    "ensemble_size": (ensemble_size, {"IMAGES": 1000, "EPOCHS": 1, "LARGEST": 3}),
    "depth": (depth, {"IMAGES": 100, "EPOCHS": 1, "DEPTHS": (2, 4), "UNITS": 10}),
    "activations_compared": (comparisons, {"IMAGES": 100, "EPOCHS": 1}),
    "optimizers_compared": (comparisons, {"IMAGES": 100, "EPOCHS": 1}),
}
ROWS = {
    "vanishing_gradient": 2 * 3 * 2 * 11,
    "initial_values": 9 * 2 * 2,
    "overfitting": 5 * 2 * 2,
    "dropout": 2 * 2,
    "ensemble_size": 2 * 2 * 3,
    "depth": 2 * 2 * 2,
    "activations_compared": 7 * 2,
    "optimizers_compared": 6 * 2,
}


@pytest.mark.parametrize("name", SMALL)
def test_a_picture_comes_in_three_files_that_say_where_they_are_from(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, constants = SMALL[name]
    for constant, value in constants.items():
        monkeypatch.setattr(module, constant, value)
    assert main(["figures", name, "--seeds", "2", "--output_dir", "pictures"]) == 0
    output = capsys.readouterr().out
    assert f"pictures/{name}.png" in output
    head = Path(f"pictures/{name}.csv").read_text(encoding="utf-8").splitlines()
    assert head[:2] == [f"# command: zoo figures {name} --output_dir pictures --seeds 2", "# seeds: 0 1"]
    assert f"torch {version('torch')}" in head[2]
    assert Path(f"pictures/{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in Path(f"pictures/{name}.svg").read_text(encoding="utf-8")
    rows = read_table(Path(f"pictures/{name}.csv"))
    assert len(rows) == ROWS[name]
    assert all(math.isfinite(float(list(row.values())[-1])) for row in rows)


def test_a_sigmoid_net_s_gradient_vanishes_and_a_relu_net_s_does_not() -> None:
    """At the start, before anything is trained, so that the whole claim is checked here."""
    ratio = {}
    for net in ("sigmoid, Xavier", "ReLU, He"):
        run = train(partial(vanishing_gradient.make_net, net), 0, 0, num_train=1000)
        sizes = vanishing_gradient.gradient_sizes(run)
        assert len(sizes) == 11
        ratio[net] = sizes[0] / sizes[-1]
    assert ratio["sigmoid, Xavier"] * 1000 < ratio["ReLU, He"]


def test_the_activations_are_their_formulae() -> None:
    x = torch.tensor([-2.0, -0.5, 0.25, 3.0])
    s = torch.sigmoid(x)
    expected = {
        "sigmoid": (s, s * (1 - s)),
        "tanh": (x.tanh(), 1 - x.tanh() ** 2),
        "relu": (x.clamp(min=0), (x > 0).float()),
        "leaky_relu": (torch.where(x > 0, x, 0.01 * x), torch.where(x > 0, 1.0, 0.01)),
        "elu": (torch.where(x > 0, x, x.exp() - 1), torch.where(x > 0, 1.0, x.exp())),
        "selu": (
            1.0507 * torch.where(x > 0, x, 1.67326 * (x.exp() - 1)),
            1.0507 * torch.where(x > 0, 1.0, 1.67326 * x.exp()),
        ),
        "maxout": (torch.maximum(x, -x / 2), torch.where(x > 0, 1.0, -0.5)),
    }
    for name, pair in expected.items():
        for found, wanted in zip(activations.value_and_slope(name, x.clone()), pair, strict=True):
            torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert main(["figures", "activations"]) == 0
    assert {row["activation"] for row in read_table(Path("figures/activations.csv"))} == set(expected)


def test_the_confusion_matrix_has_the_published_errors() -> None:
    assert main(["figures", "confusion", "--model", "softmax"]) == 0
    rows = read_table(Path("figures/confusion.csv"))
    assert sum(int(row["images"]) for row in rows) == 10_000
    errors = sum(int(row["images"]) for row in rows if row["label"] != row["answer"])
    figures = zoo.model_info("softmax").figures
    assert figures is not None
    assert errors == figures["test_errors"]
    mistakes = read_table(Path("figures/confident_mistakes.csv"))
    surest = [float(row["probability"]) for row in mistakes]
    assert surest == sorted(surest, reverse=True)
    assert all(row["label"] != row["answer"] for row in mistakes)


def test_the_curves_are_what_the_run_logged() -> None:
    short = ["--data.num_train", "500", "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"]
    assert main(["fit", "--config", "softmax", *short]) == 0
    assert main(["figures", "curves", "--run", "logs/softmax/version_0"]) == 0
    rows = read_table(Path("figures/curves.csv"))
    assert {row["name"] for row in rows} == {"train_loss", "train_acc", "val_loss", "val_acc"}
    assert [row["epoch"] for row in rows if row["name"] == "val_acc"] == ["1", "2", "3"]
    with Path("logs/softmax/version_0/metrics.csv").open() as file:
        logged = {float(value) for row in csv.DictReader(file) for value in row.values() if value}
    assert all(any(math.isclose(float(row["value"]), value, rel_tol=1e-6) for value in logged) for row in rows)


def test_all_draws_what_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    found: dict[str, list[int]] = {}

    def note(name: str, sheet: Sheet, _: object) -> None:
        found[name] = list(sheet.seeds)

    for name, picture in FIGURES.items():
        monkeypatch.setitem(FIGURES, name, picture._replace(draw=partial(note, name)))
    assert main(["figures", "all", "--seeds", "2"]) == 0
    assert found.keys() == FIGURES.keys() - {"curves", "few_labels"}
    assert (found["depth"], found["rbm"], found["activations"]) == ([0, 1], [0], [])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["curves"], "Give --run"),
        (["curves", "--run", "nowhere"], "nowhere is no run's folder"),
        (["depth", "--seeds", "0"], "--seeds is 0"),
        (["confusion", "--model", "dropuot"], "did you mean dropout"),
        (["confusion", "--model", "rbm"], "no classifier"),
        (["dept"], "did you mean depth"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sentence in complaint(["figures", *words], capsys)


@pytest.mark.parametrize(("module", "moves"), [("ipykernel.iostream", True), ("io", False)])
def test_a_bar_moves_where_someone_looks_at_it(module: str, moves: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    stream = type("OutStream", (io.StringIO,), {"__module__": module})()
    monkeypatch.setattr("sys.stderr", stream)
    assert list(progress(range(3), "Depth")) == [0, 1, 2]
    assert ("Depth" in stream.getvalue()) == moves
