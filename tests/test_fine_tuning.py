"""Trainings that begin at a trained network's weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import complaint
from zoo.cli import main
from zoo.runs.checkpoint import read_checkpoint

SHORT = ["--data.num_train", "200", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1"]
STILL = ["--model.optimizer", "sgd", "--model.lr", "1e-12", "--trainer.limit_test_batches", "0"]


def test_a_training_begins_where_a_trained_member_ended(capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["fit", "--config", "deep_relu_xavier", "--model.init_from", "deep_relu_xavier", *SHORT, *STILL]
    assert main(fit) == 0
    checkpoint = read_checkpoint("logs/deep_relu_xavier/version_0/checkpoints/last.ckpt")
    assert "init_from" not in checkpoint.arguments
    trained = zoo.load_pretrained("deep_relu_xavier").state_dict()
    for name, value in checkpoint.content["state_dict"].items():
        torch.testing.assert_close(value, trained[name], atol=1e-6, rtol=0)
    # Used once: what goes on from a checkpoint goes on from there, and what is loaded from one is what it holds.
    assert main([*fit, "--ckpt_path", "last", "--trainer.max_epochs", "2"]) == 0


def test_with_other_classes_the_output_layer_begins_anew() -> None:
    model = zoo.create_model("dropout_batchnorm", num_classes=4, init_from="dropout_batchnorm")
    trained = zoo.load_pretrained("dropout_batchnorm")
    state, weights = model.state_dict(), trained.state_dict()
    assert all(torch.equal(state[name], weights[name]) for name in model.feature_names())
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 4)


def test_an_ensemble_begins_at_another_s_weights_and_draws_bootstraps_of_its_own() -> None:
    fit = ["fit", "--config", "bagging", "--model.init_from", "bagging", "--seed_everything", "1", *SHORT, *STILL]
    assert main(fit) == 0
    checkpoint = read_checkpoint("logs/bagging/version_0/checkpoints/last.ckpt")
    assert int(checkpoint.state_dict["drawn"][0]) == 1


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("dropuot", "did you mean dropout"),
        ("softmax", "holds a zoo.models.softmax.SoftmaxRegression, but this is a zoo.models.mlp.MLP"),
        ("deeper_relu_xavier", "another architecture"),
        ("nothing.ckpt", "nothing.ckpt"),
        ("text.ckpt", "text.ckpt"),
    ],
)
def test_a_mistake_is_one_sentence(source: str, sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.ckpt").write_text("weights")
    fit = ["fit", "--config", "deep_relu_xavier", "--model.init_from", source, *SHORT]
    assert sentence in complaint(fit, capsys)
