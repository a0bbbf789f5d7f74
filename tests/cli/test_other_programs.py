"""Configs, flags and class paths as other programs have them work, or a sentence says what to write."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml
from pytorch_lightning import Callback, LightningModule, Trainer

import zoo
from tests.helpers import error_output
from zoo.cli import main
from zoo.cli.verbs.trainer import fit

FIT = ["--config", "softmax", "--data.num_train", "400", "--data.val_size", "300", "--data.eval_batch_size", "100"]
FIT += ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--trainer.limit_test_batches", "0"]
STOPPING = {"class_path": "lightning.pytorch.callbacks.EarlyStopping", "init_args": {"monitor": "val_loss"}}


def write(name: str, content: dict[str, Any]) -> None:
    Path(name).write_text(yaml.safe_dump(content))


def test_classes_of_lightning_are_those_of_pytorch_lightning_and_are_recorded_as_such() -> None:
    write("callbacks.yaml", {"trainer": {"callbacks": [STOPPING]}})
    write("profiler.yaml", {"trainer": {"profiler": {"class_path": "lightning.pytorch.profilers.SimpleProfiler"}}})
    logger = ["--trainer.logger", "lightning.pytorch.loggers.CSVLogger", "--trainer.logger.save_dir", "own"]
    assert main(["fit", *FIT, "--config", "callbacks.yaml", "--config", "profiler.yaml", *logger]) == 0
    (record,) = (path for path in Path().rglob("config.yaml"))
    text = record.read_text()
    assert "lightning.pytorch" not in text
    for name in ("callbacks.EarlyStopping", "loggers.CSVLogger", "profilers.SimpleProfiler"):
        assert f"pytorch_lightning.{name}" in text


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--optimizer", "Adam"], "set model.optimizer to its name"),
        (["--optimizer.lr", "0.1"], "set model.optimizer to its name"),
        (["--lr_scheduler", "StepLR"], "set model.lr_schedule to constant, cosine or one_cycle"),
        (["--lr", "0.1"], "did you mean --model.lr?"),
        (["--learning-rate=0.1"], "did you mean --model.lr?"),
        (["--epochs", "3"], "did you mean --trainer.max_epochs?"),
        (["--max_epochs", "3"], "did you mean --trainer.max_epochs?"),
        (["--batch-size", "3"], "did you mean --data.batch_size?"),
        (["--gpus", "1"], "did you mean --trainer.devices?"),
        (["--seed", "1"], "did you mean --seed_everything?"),
        (["--config", "optimizer.yaml"], "set model.optimizer to its name"),
        (["--config", "scheduler.yaml"], "set model.lr_schedule to constant, cosine or one_cycle"),
        (["--config", "epochs.yaml"], "no setting trainer.epochs in a config: did you mean trainer.max_epochs?"),
        (["--config", "rate.yaml"], "no setting trainer.lr in a config: did you mean model.lr?"),
        (["--config", "dropout.yaml"], "no setting dropout in a config: did you mean model.dropout?"),
        (["--data.dropout", "0.1"], "MNISTDataModule has no argument 'dropout': did you mean model.dropout?"),
        (["--config", "web.yaml"], "has a space in line 2 that is none of YAML's"),
        (["--config", "wide.yaml"], "wide.yaml cannot be read as YAML: line 1 is no UTF-8; save it with that encoding"),
        (["--config", "bell.yaml"], "bell.yaml cannot be read as YAML: line 2 has a control character; remove it"),
        (["--config", "flat.yaml"], "no setting batch_size in a config: did you mean data.batch_size?"),
        (["--config", "nested.yaml"], "nested.yaml has its settings below fit: move them to the top level"),
        (["--config", "trainer.yaml"], "trainer holds the Trainer's settings themselves"),
        (["--trainer.callbacks", "lightning.pytorch.callbacks.Stopping"], "There is no class Stopping in the module"),
    ],
)
def test_habits_of_other_programs_are_answered_with_what_to_write(
    flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write("optimizer.yaml", {"optimizer": {"class_path": "torch.optim.Adam", "init_args": {"lr": 0.1}}})
    write("scheduler.yaml", {"lr_scheduler": {"class_path": "torch.optim.lr_scheduler.StepLR"}})
    write("flat.yaml", {"batch_size": 3})
    write("epochs.yaml", {"trainer": {"epochs": 3}})
    write("rate.yaml", {"trainer": {"lr": 0.1}})
    write("dropout.yaml", {"dropout": 0.1})
    Path("web.yaml").write_text("trainer:\n  \N{NO-BREAK SPACE}max_epochs: 1\n", encoding="utf-8")
    Path("wide.yaml").write_text("trainer: {}\n", encoding="utf-16")
    Path("bell.yaml").write_text("trainer:\n  max_epochs: 1\a\n", encoding="utf-8")
    write("nested.yaml", {"fit": {"model": {"class_path": "MLP"}}})
    write("trainer.yaml", {"trainer": {"class_path": "lightning.pytorch.Trainer", "init_args": {"max_epochs": 1}}})
    assert message in error_output(["fit", *FIT, *flags], capsys)


@pytest.mark.parametrize("model", [{"lr": 0.1}, {"init_args": {"lr": 0.1}}])
def test_a_model_without_a_class_is_asked_for_one(model: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    write("model.yaml", {"model": model})
    assert "Name the network" in error_output(["fit", "--config", "model.yaml"], capsys)


@pytest.mark.parametrize(
    ("settings", "train", "validation"),
    [
        ({"limit_train_batches": 1}, [1], [3]),
        ({"limit_train_batches": 1.0}, [4], [3]),
        ({"limit_train_batches": 2}, [2], [3]),
        ({"limit_train_batches": 0.5}, [2], [3]),
        ({"limit_val_batches": 1}, [4], [1]),
        ({"limit_val_batches": 1.0}, [4], [3]),
        ({"val_check_interval": 1}, [4], [3, 3, 3, 3]),
        ({"val_check_interval": 1.0}, [4], [3]),
    ],
)
@pytest.mark.parametrize("on_command_line", [False, True])
def test_one_is_one_batch_and_one_point_zero_is_all(
    settings: dict[str, Any], train: list[int], validation: list[int], on_command_line: bool
) -> None:
    write("limits.yaml", {"trainer": settings})
    flags = [part for name, value in settings.items() for part in (f"--trainer.{name}", str(value))]
    counter = ["--trainer.callbacks", "tests.cli.test_other_programs.CountBatches"]
    CountBatches.train, CountBatches.validation = [], []
    fit([*FIT, *counter, *(flags if on_command_line else ["--config", "limits.yaml"])])
    assert (CountBatches.train, CountBatches.validation) == (train, validation)


class CountBatches(Callback):
    """Counts the steps of each epoch and the batches of each validation."""

    train: ClassVar[list[int]] = []
    validation: ClassVar[list[int]] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.train.append(trainer.global_step)

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        (batches,) = trainer.num_val_batches
        self.validation.append(int(batches))


def test_evaluation_of_one_batch(capsys: pytest.CaptureFixture[str]) -> None:
    trained = ["--config", "softmax", "--ckpt_path", str(zoo.model_info("softmax").checkpoint)]
    assert main(["test", *trained, "--trainer.accelerator", "cpu", "--trainer.limit_test_batches", "1"]) == 0
    accuracy, errors = capsys.readouterr().out.split("accuracy ")[1].split(" errors")[0].split(", ")
    assert int(errors) == round(1000 * (1 - float(accuracy)))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "softmax"], "it is `zoo fit` here"),
        (["evaluate"], "it is `zoo test` here"),
        (["fit", "softmax"], "`zoo fit --config softmax`"),
        (["fit", "mine.yaml", "--model.lr", "0.1"], "`zoo fit --config mine.yaml`"),
        (["predict", "seven.PNG"], "`zoo classify seven.PNG`"),
        (["test", "logs/last.ckpt"], "--config NAME --ckpt_path logs/last.ckpt"),
    ],
)
def test_what_was_meant_is_said(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert message in error_output(arguments, capsys)


def test_arguments_beside_a_class_are_told_their_place(capsys: pytest.CaptureFixture[str]) -> None:
    Path("mine.yaml").write_text("model:\n  class_path: zoo.models.MLP\n  init_args:\n    l2: 0.1\n  lr: 0.001\n")
    message = error_output(["fit", "--config", "mine.yaml"], capsys)
    assert "has lr beside class_path in line 5: the arguments of a class stand below init_args" in message
    Path("mine.yaml").write_text("model:\n  class_path: zoo.models.MLP\n  init_arg:\n    l2: 0.1\n")
    assert "has init_arg beside class_path in line 3" in error_output(["fit", "--config", "mine.yaml"], capsys)


def test_a_config_that_does_not_exist_is_reported_by_its_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert "There is no config file nofile.yaml" in error_output(["fit", "--config", "nofile.yaml"], capsys)
    assert "did you mean demos/xor_sigmoid" in error_output(["fit", "--config", "xor_sigmoid"], capsys)
    assert "did you mean dropout" in error_output(["fit", "--config", "dropuot"], capsys)
