"""Fine-tuning: training that starts from the weights of a trained network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import error_output
from zoo.cli import main
from zoo.runs.checkpoint import read_checkpoint

SHORT = ["--data.num_train", "200", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "1"]
FROZEN = ["--model.optimizer", "sgd", "--model.lr", "1e-12", "--trainer.limit_test_batches", "0"]
"""A learning rate so small that the weights stay as they are, within the tolerance of these tests."""


def test_training_starts_from_the_weights_of_a_trained_member(capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["fit", "--config", "deep_relu_xavier", "--model.init_from", "deep_relu_xavier", *SHORT, *FROZEN]
    assert main(fit) == 0
    checkpoint = read_checkpoint("logs/deep_relu_xavier/version_0/checkpoints/last.ckpt")
    assert "init_from" not in checkpoint.arguments
    trained = zoo.load_pretrained("deep_relu_xavier").state_dict()
    for name, value in checkpoint.content["state_dict"].items():
        torch.testing.assert_close(value, trained[name], atol=1e-6, rtol=0)
    # init_from applies only to a new run: a resumed run or a loaded network takes its weights from the checkpoint.
    assert main([*fit, "--ckpt_path", "last", "--trainer.max_epochs", "2"]) == 0


def test_output_layer_is_reinitialized_for_another_number_of_classes() -> None:
    model = zoo.create_model("dropout_batchnorm", num_classes=4, init_from="dropout_batchnorm")
    trained = zoo.load_pretrained("dropout_batchnorm")
    state, weights = model.state_dict(), trained.state_dict()
    assert all(torch.equal(state[name], weights[name]) for name in model.feature_names())
    assert model(torch.rand(2, 1, 28, 28)).shape == (2, 4)


def test_ensemble_starts_from_trained_weights_and_draws_new_bootstrap_samples() -> None:
    fit = ["fit", "--config", "bagging", "--model.init_from", "bagging", "--seed_everything", "1", *SHORT, *FROZEN]
    assert main(fit) == 0
    checkpoint = read_checkpoint("logs/bagging/version_0/checkpoints/last.ckpt")
    assert int(checkpoint.state_dict["drawn"][0]) == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("dropuot", "did you mean dropout"),
        ("softmax", "holds a zoo.models.softmax.SoftmaxRegression, not a zoo.models.mlp.MLP"),
        ("deeper_relu_xavier", "another architecture"),
        ("nothing.ckpt", "nothing.ckpt"),
        ("text.ckpt", "text.ckpt"),
    ],
)
def test_usage_error_is_one_line(source: str, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.ckpt").write_text("weights")
    fit = ["fit", "--config", "deep_relu_xavier", "--model.init_from", source, *SHORT]
    assert message in error_output(fit, capsys)
