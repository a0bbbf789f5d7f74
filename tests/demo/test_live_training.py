"""Tests of the trainings that the page shows live."""

from __future__ import annotations

import base64
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from zoo.cli import main
from zoo.data import MNISTDataModule
from zoo.runs.checkpoint import read_checkpoint
from zoo.utils.errors import UsageError

testclient = pytest.importorskip("starlette.testclient", reason="needs Starlette, which is in .[test]")

from zoo.demo import live_training, server  # noqa: E402
from zoo.demo.inference import Predictor  # noqa: E402
from zoo.demo.live_training import Choices, LiveTraining, LiveTrainings  # noqa: E402

BLANK = torch.zeros(1, 28, 28)


@pytest.fixture(scope="module")
def data() -> MNISTDataModule:
    module = MNISTDataModule(batch_size=live_training.BATCH_SIZE)
    module.prepare_data()
    module.setup("fit")
    return module


@pytest.fixture
def client(softmax: Predictor) -> Any:
    return testclient.TestClient(server.make_application(softmax, ["testserver"]))


@pytest.mark.parametrize(
    ("choices", "steps"),
    [
        (Choices("small", "he_normal", "0.01", "0.3", seed=3), 37),
        pytest.param(Choices(), 25, marks=pytest.mark.slow),
        pytest.param(Choices("small", "normal"), 570, marks=pytest.mark.slow),
        pytest.param(Choices("small", dropout="0.3"), 570, marks=pytest.mark.slow),
    ],
)
def test_the_weights_are_those_of_the_command_to_the_last_bit(
    choices: Choices, steps: int, data: MNISTDataModule, capsys: pytest.CaptureFixture[str]
) -> None:
    """570 steps go on into the second epoch."""
    training = LiveTraining(choices, data)
    losses: list[float] = []
    while training.steps < steps:
        torch.manual_seed(len(losses))  # random numbers that others draw in between
        torch.rand(3)
        losses += training.run(min(7, steps - training.steps))["losses"]
    assert len(losses) == steps
    assert main(shlex.split(training.look(BLANK)["command"])[1:]) == 0
    (path,) = Path("logs").rglob("last.ckpt")
    trained = read_checkpoint(path).content["state_dict"]
    state = training.model.state_dict()
    assert state.keys() == trained.keys()
    assert all(torch.equal(state[name], trained[name]) for name in state)


def test_a_training_learns_and_its_weights_are_shown(client: Any) -> None:
    begun = client.post("/api/train?lr=0.01", content=bytes(784)).raise_for_status().json()
    assert (begun["steps"], begun["epoch"], begun["units"]) == (0, 1, 10)
    told = begun
    losses: list[float] = []
    for _ in range(8):
        address = f"/api/train/steps?name={begun['name']}&steps=50"
        told = client.post(address, content=bytes(784)).raise_for_status().json()
        assert len(told["losses"]) == len(told["accuracies"]) > 0
        losses += told["losses"]
    assert told["steps"] == len(losses)
    assert np.mean(losses[-20:]) < 0.6 * losses[0]
    assert told["validation_accuracy"] > 0.8
    assert sum(told["probabilities"]) == pytest.approx(1, abs=1e-3)
    assert f"--trainer.max_steps {len(losses)}" in told["command"]
    weights = np.frombuffer(base64.b64decode(told["weights"]), np.int8)
    assert weights.shape == (7840,)
    assert np.abs(weights).max() == 127


def test_zeros_teach_a_hidden_layer_nothing(data: MNISTDataModule) -> None:
    """As the lecture says: weights must not all be zero."""
    training = LiveTraining(Choices("small", "zeros"), data)
    training.run(20)
    assert not training.model.state_dict()["net.1.weight"].any()


def test_no_further_steps_are_made_after_the_time(data: MNISTDataModule, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_training, "SECONDS", 0)
    training = LiveTraining(Choices(), data)
    assert len(training.run(100)["losses"]) == live_training.STEPS_AT_ONCE


def test_the_server_keeps_few_trainings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_training, "MAX_TRAININGS", 2)
    trainings = LiveTrainings()
    first, second = (trainings.start(Choices(), BLANK)["name"] for _ in range(2))
    assert trainings.go_on(first, 1, BLANK)
    third = trainings.start(Choices(), BLANK)["name"]
    assert trainings.go_on(second, 1, BLANK) is None
    assert trainings.go_on(first, 1, BLANK)
    assert trainings.go_on(third, 1, BLANK)


@pytest.mark.parametrize(
    ("path", "status", "sentence"),
    [
        ("train?network=large", 400, "network is 'large', but it must be one of softmax, small."),
        ("train?lr=1", 400, "lr is '1'"),
        ("train?seed=1000", 400, "seed is 1000, but it must be 0 to 999"),
        ("train/steps?name=x&steps=101", 400, "steps is 101, but it must be 1 to 100"),
        ("train/steps?name=x", 404, "The server has given up this training"),
    ],
)
def test_a_wrong_request_is_told_what_to_send(client: Any, path: str, status: int, sentence: str) -> None:
    response = client.post(f"/api/{path}", content=bytes(784))
    assert response.status_code == status
    assert sentence in response.json()["error"]


@pytest.mark.parametrize("network", live_training.NETWORKS)
@pytest.mark.parametrize("weight_init", live_training.WEIGHT_INITS)
def test_all_choices_make_a_network(network: str, weight_init: str) -> None:
    try:
        for lr in live_training.LEARNING_RATES:
            for dropout in live_training.DROPOUTS:
                Choices(network, weight_init, lr, dropout).make()
    except UsageError as error:
        pytest.fail(str(error))
