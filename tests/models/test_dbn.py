from __future__ import annotations

import csv
import signal
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

from tests.helpers import error_output, run_zoo, start_zoo, weights
from zoo import MNISTDataModule
from zoo.cli import main
from zoo.models import DBN, GenerativeDBN
from zoo.utils.errors import UsageError

# Two layers: two pretraining epochs for each, then two fine-tuning epochs, ten steps per epoch.
SHORT = ["--trainer.accelerator", "cpu", "--data.num_train", "1000", "--trainer.max_epochs", "6"]
SMALL = ["--model.hidden_sizes", "[12, 9]", "--model.pretrain_epochs", "2", "--model.initial_epochs", "1"]
FIT = ["fit", "--config", "dbn", *SMALL, *SHORT]
DDP = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]


def train_and_load_each_epoch(*arguments: str) -> list[dict[str, Any]]:
    """Train a DBN, and return the checkpoints of all epochs."""
    assert main([*FIT, "--checkpoint.save_top_k", "-1", *arguments]) == 0
    paths = sorted(Path("logs/dbn/version_0/checkpoints").glob("epoch=*"), key=lambda path: path.stat().st_mtime_ns)
    return [torch.load(path, weights_only=True) for path in paths]


def changed_parameters(before: dict[str, Any], after: dict[str, Any]) -> set[str]:
    names = [name for name in before["state_dict"] if not name.startswith("divergences.")]
    return {name for name in names if not torch.equal(before["state_dict"][name], after["state_dict"][name])}


def test_hidden_layers_compute_the_rbms_hidden_probabilities() -> None:
    model = DBN([7, 6]).eval()
    with torch.no_grad():
        for rbm in model.rbms:
            rbm.weight.normal_()
            rbm.hidden_bias.normal_()
    images = torch.rand(3, 1, 28, 28)
    first, second = model.rbms
    below = 1 / (1 + (-(images.reshape(3, 784) @ first.weight + first.hidden_bias)).exp())
    torch.testing.assert_close(model.input_of(1, images), below.detach())
    above = second.hidden_probabilities(below)
    torch.testing.assert_close(model(images), above @ model.output.weight.T + model.output.bias)


@pytest.mark.parametrize("network", [DBN, GenerativeDBN])
def test_every_layer_is_pretrained_with_the_same_settings(network: type[DBN | GenerativeDBN]) -> None:
    settings: dict[str, Any] = {"gibbs_steps": 3, "persistent": True, "sample_visible": True, "centred": True}
    divergences = network([7, 6, 5], **settings).contrastive_divergences
    assert [{name: getattr(each, name) for name in settings} for each in divergences] == [settings] * 3


def test_each_stage_changes_only_its_own_parameters() -> None:
    checkpoints = train_and_load_each_epoch()
    layer = "layers.{}.{}"
    parts = ("weight", "visible_bias", "hidden_bias")
    for first, second, stage in ((0, 1, 0), (1, 2, 1), (2, 3, 1)):
        assert changed_parameters(checkpoints[first], checkpoints[second]) == {
            layer.format(stage, part) for part in parts
        }
    output = {"output.weight", "output.bias"}
    trained = {layer.format(stage, part) for stage in (0, 1) for part in ("weight", "hidden_bias")} | output
    assert changed_parameters(checkpoints[3], checkpoints[4]) == trained
    assert changed_parameters(checkpoints[4], checkpoints[5]) == trained
    momenta = [epoch["optimizer_states"][0]["param_groups"][0]["momentum"] for epoch in checkpoints]
    assert momenta == [0.5, 0.9, 0.5, 0.9, 0.9, 0.9]


def test_the_stage_is_printed_and_logged(capsys: pytest.CaptureFixture[str]) -> None:
    main(FIT)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Epoch")]
    assert ["RBM 1 of 2, 784-12" in line for line in lines] == [True, True, False, False, False, False]
    assert ["RBM 2 of 2, 12-9" in line for line in lines] == [False, False, True, True, False, False]
    assert ["fine-tuning   train_loss" in line for line in lines] == [False] * 4 + [True] * 2
    with Path("logs/dbn/version_0/metrics.csv").open() as file:
        rows = [row for row in csv.DictReader(file)]
    assert [row["stage"] for row in rows if row["stage"]] == ["1.0", "1.0", "2.0", "2.0", "3.0", "3.0"]
    assert sum(bool(row["val_reconstruction_error"]) for row in rows) == 4
    assert sum(bool(row["train_loss"]) for row in rows) == 2
    assert sum(bool(row["val_acc"]) for row in rows) == 6


@pytest.mark.parametrize(
    ("step", "persistent"),
    [
        (20, "false"),
        (35, "true"),
        *(pytest.param(step, "false", marks=pytest.mark.slow) for step in (4, 10, 25, 40, 47)),
        pytest.param(14, "true", marks=pytest.mark.slow),
    ],
)
def test_interrupted_training_resumes_exactly_in_every_stage(step: int, persistent: str) -> None:
    fit = [*FIT, "--model.persistent", persistent]
    assert main(fit) == 0
    at = f'{{"class_path": "tests.helpers.SignalAt", "init_args": {{"step": {step}, "signal": {int(signal.SIGTERM)}}}}}'
    assert main([*fit, "--trainer.callbacks", at]) == 143
    torch.manual_seed(12345)
    assert main([*fit, "--ckpt_path", "last"]) == 0
    last = "logs/dbn/version_{}/checkpoints/last.ckpt"
    assert weights(last.format(2)) == weights(last.format(0))


@pytest.mark.parametrize("step", [40, *(pytest.param(step, marks=pytest.mark.slow) for step in (20, 50))])
def test_training_resumes_exactly_from_the_last_step_of_an_epoch(step: int) -> None:
    """The checkpoint is saved before the epoch ends, so Lightning does not call the epoch start hook on resuming."""
    fit = [*FIT, "--checkpoint.every_n_train_steps", "10", "--checkpoint.save_top_k", "-1"]
    fit += ["--checkpoint.save_on_train_epoch_end", "false"]
    assert main(fit) == 0
    (path,) = Path("logs/dbn/version_0/checkpoints").glob(f"*step={step}.ckpt")
    assert main([*fit, "--ckpt_path", str(path)]) == 0
    last = "logs/dbn/version_{}/checkpoints/last.ckpt"
    assert weights(last.format(1)) == weights(last.format(0))


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_pretraining_and_testing_work_in_every_precision(precision: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--trainer.precision", precision]) == 0
    assert "Test set:   accuracy" in capsys.readouterr().out


def test_sanity_check_before_training_works() -> None:
    assert main([*FIT, "--trainer.num_sanity_val_steps", "2"]) == 0


@pytest.mark.parametrize("persistent", ["false", "true"])
@pytest.mark.slow
def test_two_processes_have_the_same_parameters_after_each_epoch(persistent: str) -> None:
    more = ["--model.persistent", persistent, "--checkpoint.save_top_k", "-1"]
    run_zoo(*FIT, *DDP, *more, "--trainer.callbacks", "tests.helpers.WriteWeightsEachEpoch")
    for epoch in range(6):
        one, two = (Path(f"weights-{epoch}-{rank}.txt").read_text() for rank in (0, 1))
        assert one == two
    if persistent == "true":
        last = torch.load("logs/dbn/version_0/checkpoints/last.ckpt", weights_only=True)
        one, two = (process["module"] for process in last["callbacks"]["ExactResume"]["processes"])
        assert one.keys() == {"chains_0", "chains_1"}
        assert not any(torch.equal(one[layer], two[layer]) for layer in one)


@pytest.mark.slow
def test_two_processes_fine_tune_to_the_same_network_as_one() -> None:
    """Without pretraining, in which each process draws its own random numbers."""
    same = ["--model.pretrain_epochs", "0", "--model.weight_init", "xavier_uniform", "--trainer.precision", "64-true"]
    same += ["--model.dropout", "0", "--model.input_dropout", "0"]
    run_zoo(*FIT, *same, *DDP)
    assert main([*FIT, *same]) == 0
    two, one = (
        torch.load(f"logs/dbn/version_{n}/checkpoints/last.ckpt", weights_only=True)["state_dict"] for n in (0, 1)
    )
    for name, value in one.items():
        torch.testing.assert_close(two[name], value, rtol=1e-7, atol=1e-7)


@pytest.mark.slow
def test_two_processes_resume_pretraining_exactly() -> None:
    at = '{"class_path": "tests.helpers.SignalAt", "init_args": {"step": 25, "signal": 15}}'
    run_zoo(*FIT, *DDP)
    process = start_zoo(*FIT, *DDP, "--trainer.callbacks", at)
    _, error_output = process.communicate(timeout=100)
    assert process.returncode == 143, error_output
    run_zoo(*FIT, *DDP, "--ckpt_path", "last")
    last = "logs/dbn/version_{}/checkpoints/last.ckpt"
    assert weights(last.format(2)) == weights(last.format(0))


def test_pretraining_uses_all_images_and_fine_tuning_only_labelled_ones() -> None:
    checkpoints = train_and_load_each_epoch(
        "--data.num_train", "50", "--data.unlabelled_epochs", "4", "--trainer.limit_train_batches", "55"
    )
    steps = [epoch["global_step"] for epoch in checkpoints]
    assert steps == [55, 110, 165, 220, 221, 222]


def test_unlabelled_epochs_work_with_data_that_is_set_up_before_the_trainer() -> None:
    data = MNISTDataModule(num_train=50, unlabelled_epochs=1)
    data.setup("fit")
    trainer = Trainer(
        max_epochs=2,
        limit_train_batches=3,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(DBN([5], pretrain_epochs=1), datamodule=data)
    assert trainer.global_step == 3 + 1


def test_unlabelled_split_contains_no_labels() -> None:
    data = MNISTDataModule(num_train=100, unlabelled_epochs=1)
    data.setup("fit")
    labelled, unlabelled = data.splits["train"], data.splits["unlabelled"]
    assert len(labelled) == 100
    assert len(unlabelled) == 55_000
    assert set(unlabelled.labels.tolist()) == {-1}
    assert labelled.labels.min() == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trainer.max_epochs", "3"], "max_epochs is 3, but pre-training alone takes 4"),
        (["--data.unlabelled_epochs", "3"], "set data.unlabelled_epochs to that"),
        (["--model.hidden_sizes", "[]"], "there is at least one layer"),
        (["--model.pretrain_epochs", "-1"], "pretrain_epochs is -1"),
        (["--model.dropout", "1"], "dropout is 1"),
        (["--model.hidden_lr_factor", "0"], "hidden_lr_factor is 0"),
        (["--model.weight_init", "xavier"], "Unknown weight_init 'xavier'"),
        (["--trainer.gradient_clip_val", "1"], "gradient clipping is not supported"),
    ],
)
def test_wrong_arguments_give_a_one_line_error(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert message in error_output([*FIT, *arguments], capsys)


def test_unlabelled_epochs_raise_for_a_network_that_needs_labels(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "softmax", *SHORT, "--data.unlabelled_epochs", "2"]) == 2
    assert "SoftmaxRegression needs none for 0" in capsys.readouterr().err


def test_hidden_layers_have_their_own_learning_rate_and_cosine_decays_per_epoch() -> None:
    hidden, output = DBN([5], lr=0.01, hidden_lr_factor=0.1).parameter_groups()
    assert hidden["lr"] == pytest.approx(0.001)
    assert "lr" not in output
    checkpoints = train_and_load_each_epoch("--model.lr", "0.01", "--model.hidden_lr_factor", "0.1")
    rates = [[group["lr"] for group in epoch["optimizer_states"][1]["param_groups"]] for epoch in checkpoints[3:]]
    assert rates[1] == pytest.approx([0.001, 0.01])
    assert rates[2] == pytest.approx([0.0005, 0.005])


def test_without_pretraining_weights_are_initialized_by_weight_init() -> None:
    model = DBN([7], pretrain_epochs=0, weight_init="xavier_uniform")
    bound = (6 / (784 + 7)) ** 0.5
    assert bound * 0.9 < float(model.rbms[0].weight.detach().abs().max()) <= bound
    assert model.unlabelled_epochs() == 0
    with pytest.raises(UsageError, match="there is at least one layer"):
        DBN([])


def test_each_layer_may_have_a_rate_of_dropout_of_its_own() -> None:
    model = DBN([400, 300], pretrain_epochs=0, dropout=[0.25, 0.5], input_dropout=0.1).train()
    seen: list[float] = []
    for layer in model.dropouts:
        layer.register_forward_hook(lambda _, inputs, outputs: seen.append(float((outputs == 0).float().mean())))
    torch.manual_seed(0)
    model(torch.ones(200, 1, 28, 28))
    assert seen == pytest.approx([0.1, 0.25, 0.5], abs=0.01)
    assert model.output.weight.shape == (10, 300)
