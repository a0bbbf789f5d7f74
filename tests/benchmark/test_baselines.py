"""The baselines of the benchmark train the same networks as the members."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
import yaml

import zoo
from tests.helpers import error_output
from zoo import MNISTDataModule
from zoo.benchmark import eager, jax_scan
from zoo.benchmark.interleaved import make_baselines
from zoo.cli import main
from zoo.models import CNN, MLP, SoftmaxRegression

WITH_SCRIPT = ["softmax", "deep_relu_xavier", "deeper_relu_xavier", "dropout", "dropout_batchnorm", "fast_cnn"]


def config_of(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(zoo.model_info(name).config.read_text())
    return content


@pytest.fixture
def data() -> MNISTDataModule:
    data = MNISTDataModule(num_train=2000, val_size=1000)
    data.prepare_data()
    data.setup("fit")
    return data


@pytest.mark.parametrize("name", WITH_SCRIPT)
def test_eager_network_has_the_member_s_layers(name: str) -> None:
    member = zoo.create_model(name)
    assert isinstance(member, CNN | MLP | SoftmaxRegression)
    network = eager.network_from_config(config_of(name))
    assert network is not None
    assert [type(layer) for layer in network] == [type(layer) for layer in member.net]
    ours, theirs = (
        [(key, each.shape, each.requires_grad) for key, each in net.named_parameters()] for net in (member.net, network)
    )
    assert ours == theirs
    assert [layer.extra_repr() for layer in network] == [layer.extra_repr() for layer in member.net]


@pytest.mark.parametrize("name", ["residual_cnn", "recurrent", "dbn", "generative_dbn", "mlp_augmented", "vat"])
def test_other_networks_and_augmented_members_have_no_eager_network(name: str) -> None:
    assert eager.network_from_config(config_of(name)) is None


def test_eager_loop_learns(data: MNISTDataModule) -> None:
    torch.manual_seed(0)
    training, validation = data.training_set(), data.splits["validation"]
    (epoch,) = [
        epoch
        for name, epoch in make_baselines(SoftmaxRegression(), training, validation, config_of("softmax")).items()
        if name == "eager"
    ]
    epoch()
    network = eager.make_mlp([64])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001)
    before = eager.count_errors(network, validation.images, validation.labels)
    for _ in range(3):
        fetch = eager.make_fetch(training.images, training.labels)
        eager.train_epoch(network, optimizer, fetch, len(training), 100)
    assert eager.count_errors(network, validation.images, validation.labels) < before / 3


@pytest.mark.parametrize("settings", [{}, {"hidden_sizes": [32, 32], "dropout": 0.1, "batch_norm": True}])
def test_jax_epoch_learns(settings: dict[str, Any], data: MNISTDataModule) -> None:
    pytest.importorskip("jax", reason="needs JAX, which is in .[bench]")
    training = data.training_set()
    images, labels = training.images.numpy(), training.labels.numpy()
    epoch = jax_scan.make_epoch(images, labels, (images, labels), lr=0.01, **settings)
    losses, errors = zip(*(epoch() for _ in range(6)), strict=True)
    assert losses[-1] < losses[0] / 2
    assert errors[-1] < errors[0]


@pytest.mark.parametrize("name", ["bagging", "mlp_augmented", "residual", "fast_cnn"])
def test_every_kind_of_member_has_an_eager_baseline(name: str) -> None:
    data = MNISTDataModule(num_train=200, val_size=100, augment="affine" if "augmented" in name else "none")
    data.prepare_data()
    data.setup("fit")
    loader: Any = data.train_dataloader()
    model = zoo.create_model(name)
    found = make_baselines(model, loader.dataset, data.splits["validation"], config_of(name))
    found["eager"]()


def test_invalid_arguments_give_a_one_sentence_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert "did you mean softmax" in error_output(["bench", "sofmax"], capsys)
    assert "--rounds is 0" in error_output(["bench", "--rounds", "0"], capsys)


def test_the_initial_weights_of_the_script_s_cnn_have_the_member_s_variances() -> None:
    torch.manual_seed(0)
    network, member = eager.network_from_config(config_of("fast_cnn")), zoo.create_model("fast_cnn")
    assert network is not None
    for ours, theirs in zip(member.net.parameters(), network.parameters(), strict=True):  # type: ignore[union-attr]
        torch.testing.assert_close(theirs.std(correction=0), ours.std(correction=0), rtol=0.3, atol=0)


@pytest.mark.parametrize(("name", "expected"), [("constant", 0.1), ("cosine", 0.05), ("one_cycle", 0.1)])
def test_the_script_s_schedules_are_the_member_s(name: str, expected: float) -> None:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], 0.1)
    schedule = eager.make_schedule(optimizer, name, 10)
    optimizer.step()
    for _ in range({"cosine": 5, "one_cycle": 2}.get(name, 0)):
        assert schedule is not None
        schedule.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(expected)


@pytest.mark.slow
def test_bench_measures_whole_runs_and_their_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "fast_cnn", "--rounds", "1", "--whole", "2", "--json"]) == 0
    measured = json.loads(capsys.readouterr().out)["members"]["fast_cnn"]
    assert measured["images"] == 55_000
    for program in ("zoo", "eager"):
        runs = measured["whole"][program]
        assert [run["seed"] for run in runs] == [0, 1]
        assert all(0 < run["training_seconds"] < run["seconds"] for run in runs)
        assert all(60 < run["test_errors"] < 130 for run in runs)
        assert runs[0]["test_errors"] != runs[1]["test_errors"]


@pytest.mark.slow
def test_bench_measures_a_member(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "softmax", "--rounds", "1", "--json"]) == 0
    output = json.loads(capsys.readouterr().out)
    assert output["machine"]["cores"] > 0
    measured = output["members"]["softmax"]
    assert all(len(seconds) == 1 and seconds[0] > 0 for seconds in measured["seconds"].values())
    assert {"zoo", "eager"} <= set(measured["seconds"])
    assert measured["start"] > 0
    assert 50e6 < measured["short"]["zoo"][0]["peak_bytes"] < 5e9
