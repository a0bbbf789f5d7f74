"""Tests of `zoo figures`, with small networks, few images and few epochs."""

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
from tests.helpers import error_output
from zoo.cli import main
from zoo.data.xor import INPUTS, LABELS
from zoo.figures import (
    activations,
    comparisons,
    depth,
    dropout,
    ensemble_size,
    initial_values,
    overfitting,
    vanishing_gradient,
    xor,
)
from zoo.figures.catalogue import FIGURES
from zoo.figures.curves import curves_of, read_history, run_labels
from zoo.figures.training import progress, train
from zoo.figures.writing import FigureWriter, read_table
from zoo.pretrained.registry import read_index
from zoo.runs.run import Run

SMALL_SETTINGS: dict[str, tuple[Any, dict[str, Any]]] = {
    "vanishing_gradient": (vanishing_gradient, {"IMAGES": 1000, "UNITS": 40}),
    "initial_values": (initial_values, {"IMAGES": 1000, "EPOCHS": 2, "PRETRAIN_EPOCHS": 1, "UNITS": 10}),
    "overfitting": (overfitting, {"IMAGES": 50, "EPOCHS": 2}),
    "dropout": (dropout, {"IMAGES": 100, "EPOCHS": 1, "RATES": (0.0, 0.5)}),
    "ensemble_size": (ensemble_size, {"IMAGES": 1000, "EPOCHS": 1, "MAX_NETWORKS": 3}),
    "depth": (depth, {"IMAGES": 100, "EPOCHS": 1, "DEPTHS": (2, 4), "UNITS": 10}),
    "activations_compared": (comparisons, {"IMAGES": 100, "EPOCHS": 1}),
    "optimizers_compared": (comparisons, {"IMAGES": 100, "EPOCHS": 1}),
}
NUM_ROWS = {
    "vanishing_gradient": 2 * 3 * 2 * 11,
    "initial_values": 9 * 2 * 2,
    "overfitting": 5 * 2 * 2,
    "dropout": 2 * 2,
    "ensemble_size": 2 * 2 * 3,
    "depth": 2 * 2 * 2,
    "activations_compared": 7 * 2,
    "optimizers_compared": 6 * 2,
}


SLOW = ("initial_values", "overfitting", "vanishing_gradient", "activations_compared")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in SMALL_SETTINGS]
)
def test_figure_is_written_as_png_svg_and_csv_with_its_origin(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module, constants = SMALL_SETTINGS[name]
    for constant, value in constants.items():
        monkeypatch.setattr(module, constant, value)
    assert main(["figures", name, "--seeds", "2", "--output_dir", "pictures"]) == 0
    output = capsys.readouterr().out
    assert f"pictures/{name}.png" in output
    head = Path(f"pictures/{name}.csv").read_text(encoding="utf-8").splitlines()
    assert head[1:3] == [f"# command: zoo figures {name} --output_dir pictures --seeds 2", "# seeds: 0 1"]
    assert f"torch {version('torch')}" in head[3]
    assert Path(f"pictures/{name}.png").read_bytes().startswith(b"\x89PNG")
    assert "<svg" in Path(f"pictures/{name}.svg").read_text(encoding="utf-8")
    rows = read_table(Path(f"pictures/{name}.csv"))
    assert len(rows) == NUM_ROWS[name]
    assert all(math.isfinite(float(list(row.values())[-1])) for row in rows)


def test_exclusive_or_is_learned_with_hidden_layers_alone() -> None:
    assert main(["figures", "xor"]) == 0
    found = {
        (row["network"], int(row["step"]), float(row["first_input"]), float(row["second_input"])): float(
            row["probability"]
        )
        for row in read_table(Path("figures/xor.csv"))
    }
    without, with_layers = xor.NETWORKS
    last = max(step for _, step, *_ in found)
    for inputs, label in zip(INPUTS, LABELS, strict=True):
        assert found[without, last, *inputs] == pytest.approx(0.5, abs=0.01)  # the best that a linear network can do
        assert found[with_layers, last, *inputs] == pytest.approx(label, abs=0.1)


def test_gradient_vanishes_in_a_sigmoid_net_and_not_in_a_relu_net() -> None:
    """Checked before training, at the full depth and width of the figure."""
    ratio = {}
    for net in ("sigmoid, Xavier", "ReLU, He"):
        run = train(partial(vanishing_gradient.make_net, net), 0, 0, num_train=1000)
        gradients = vanishing_gradient.mean_absolute_gradients(run)
        assert len(gradients) == 11
        ratio[net] = gradients[0] / gradients[-1]
    assert ratio["sigmoid, Xavier"] * 1000 < ratio["ReLU, He"]


def test_activations_and_derivatives_match_their_formulas() -> None:
    x = torch.tensor([-2.0, -0.5, 0.25, 3.0])
    sigmoid = torch.sigmoid(x)
    expected = {
        "sigmoid": (sigmoid, sigmoid * (1 - sigmoid)),
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
    for name, expected_pair in expected.items():
        for actual, wanted in zip(activations.value_and_derivative(name, x.clone()), expected_pair, strict=True):
            torch.testing.assert_close(actual, wanted, rtol=1e-4, atol=1e-4)
    assert main(["figures", "activations"]) == 0
    assert {row["activation"] for row in read_table(Path("figures/activations.csv"))} == set(expected)


def test_confusion_matrix_has_the_published_number_of_errors() -> None:
    assert main(["figures", "confusion", "--model", "softmax"]) == 0
    rows = read_table(Path("figures/confusion.csv"))
    assert sum(int(row["images"]) for row in rows) == 10_000
    errors = sum(int(row["images"]) for row in rows if row["label"] != row["prediction"])
    metrics = zoo.model_info("softmax").metrics
    assert metrics is not None
    assert errors == metrics["test_errors"]
    confident_errors = read_table(Path("figures/confident_mistakes.csv"))
    probabilities = [float(row["probability"]) for row in confident_errors]
    assert probabilities == sorted(probabilities, reverse=True)
    assert all(row["label"] != row["prediction"] for row in confident_errors)


def test_curves_show_the_logged_metrics() -> None:
    short = ["--data.num_train", "500", "--trainer.max_epochs", "3", "--trainer.accelerator", "cpu"]
    assert main(["fit", "--config", "softmax", *short]) == 0
    assert main(["figures", "curves", "--run", "logs/softmax/version_0"]) == 0
    rows = read_table(Path("figures/curves.csv"))
    assert {row["name"] for row in rows} == {"train_loss", "train_acc", "val_loss", "val_acc"}
    assert [row["epoch"] for row in rows if row["name"] == "val_acc"] == ["1", "2", "3"]
    with Path("logs/softmax/version_0/metrics.csv").open() as file:
        logged = {float(value) for row in csv.DictReader(file) for value in row.values() if value}
    assert all(any(math.isclose(float(row["value"]), value, rel_tol=1e-6) for value in logged) for row in rows)


def test_curves_of_several_runs_are_labelled_by_what_differs_and_a_resumed_run_is_one_curve() -> None:
    short = ["fit", "--config", "softmax", "--data.num_train", "500", "--trainer.accelerator", "cpu"]
    for number, rest in enumerate(
        (
            ["--trainer.max_epochs", "2"],
            ["--trainer.max_epochs", "4", "--ckpt_path", "last"],
            ["--trainer.max_epochs", "4", "--model.lr", "0.01"],
            ["--trainer.max_epochs", "4"],
        )
    ):
        assert main([*short, *rest]) == 0
        assert (Path("logs/softmax") / f"version_{number}").is_dir()
    runs = [Path("logs/softmax/version_1"), Path("logs/softmax/version_2")]
    assert run_labels([Run.read(run) for run in runs]) == ["lr 0.001", "lr 0.01"]
    assert main(["figures", "curves", *(word for run in runs for word in ("--run", str(run)))]) == 0
    rows = read_table(Path("figures/curves.csv"))
    losses = {
        run: [(row["epoch"], row["value"]) for row in rows if (row["run"], row["name"]) == (str(run), "train_loss")]
        for run in runs
    }
    assert [epoch for epoch, _ in losses[runs[0]]] == ["1", "2", "3", "4"]
    assert losses[runs[0]] != losses[runs[1]]
    assert main(["figures", "curves", "--run", "logs/softmax/version_3"]) == 0
    undisturbed = [row["value"] for row in read_table(Path("figures/curves.csv")) if row["name"] == "train_loss"]
    assert undisturbed == [value for _, value in losses[runs[0]]]
    equal = [Run.read(Path(f"logs/softmax/version_{number}")) for number in (1, 2, 3)]
    figure = curves_of(equal, [read_history(run) for run in equal])
    first, other, last = (line.get_linewidth() for line in figure.axes[0].lines[::2])
    assert first > other == last  # so that the first of two equal runs is seen below the second


def test_a_run_that_goes_on_from_within_the_first_epoch_of_another_has_curves() -> None:
    fit = ["fit", "--config", "softmax", "--data.num_train", "500", "--trainer.max_epochs", "2"]
    fit += ["--trainer.accelerator", "cpu"]
    stop = ["--trainer.callbacks", '{"class_path": "tests.helpers.SignalAt", "init_args": {"step": 3, "signal": 15}}']
    assert main([*fit, *stop]) == 143
    assert main([*fit, "--ckpt_path", "last"]) == 0
    assert main(["figures", "curves", "--run", "logs/softmax/version_1"]) == 0
    rows = read_table(Path("figures/curves.csv"))
    assert [row["epoch"] for row in rows if row["name"] == "train_loss"] == ["1", "2"]


def test_every_published_run_of_every_member_is_drawn() -> None:
    assert main(["figures", "members"]) == 0
    index = read_index()
    rows = read_table(Path("figures/members.csv"))
    for name, entry in index.items():
        runs = [int(row["test_errors"]) for row in rows if (row["kind"], row["member"]) == ("run", name)]
        published = [run["test_errors"] for each in (entry, *entry["elsewhere"]) for run in each["runs"]]
        assert sorted(runs) == sorted(published)
        (shipped,) = (row for row in rows if (row["kind"], row["member"]) == ("shipped", name))
        assert int(shipped["test_errors"]) == entry["test_errors"]


def test_all_leaves_out_figures_that_need_arguments_or_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds_drawn: dict[str, list[int]] = {}

    def record(name: str, writer: FigureWriter, _: object) -> None:
        seeds_drawn[name] = list(writer.seeds)

    for name, picture in FIGURES.items():
        monkeypatch.setitem(FIGURES, name, picture._replace(draw=partial(record, name)))
    assert main(["figures", "all", "--seeds", "2"]) == 0
    assert seeds_drawn.keys() == FIGURES.keys() - {"curves", "few_labels"}
    assert (seeds_drawn["depth"], seeds_drawn["rbm"], seeds_drawn["activations"]) == ([0, 1], [0], [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["curves"], "Give --run"),
        (["curves", "--run", "nowhere"], "nowhere is no run's folder"),
        (["depth", "--seeds", "0"], "--seeds is 0"),
        (["confusion", "--model", "dropuot"], "did you mean dropout"),
        (["confusion", "--model", "rbm"], "no classifier"),
        (["dept"], "did you mean depth"),
    ],
)
def test_usage_error_is_one_line(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in error_output(["figures", *arguments], capsys)


@pytest.mark.parametrize(("module", "shown"), [("ipykernel.iostream", True), ("io", False)])
def test_progress_bar_is_shown_only_in_a_terminal_or_notebook(
    module: str, shown: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = type("OutStream", (io.StringIO,), {"__module__": module})()
    monkeypatch.setattr("sys.stderr", stream)
    assert list(progress(range(3), "Depth")) == [0, 1, 2]
    assert ("Depth" in stream.getvalue()) == shown
