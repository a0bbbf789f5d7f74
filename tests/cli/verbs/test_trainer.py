"""End-to-end tests of the verbs fit, test and predict."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tests.helpers import errors, weights
from zoo.callbacks import prediction_writer
from zoo.cli import main
from zoo.models import MLP
from zoo.utils import pictures

SHORT = ["--trainer.accelerator", "cpu", "--data.num_train", "1000", "--trainer.max_epochs", "2"]


def test_fit_prints_a_summary_and_a_working_test_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "deep_relu_xavier", *SHORT]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "deep_relu_xavier: 269,322 parameters, training on CPU with 1 thread, seed 0"
    for number, line in enumerate(lines[1:3], start=1):
        assert re.fullmatch(
            rf"Epoch {number}/2   train_loss \d\.\d+   val_loss \d\.\d+   val_acc 0\.\d+   [\d.]+ s", line
        )
    assert re.fullmatch(r"Test set:   accuracy 0\.\d{4}, [\d,]+ errors", lines[3])
    assert lines[4] == "Checkpoint: logs/deep_relu_xavier/version_0/checkpoints/last.ckpt"
    command = lines[5].removeprefix("Test it:    zoo ").split()
    assert main(command) == 0  # the printed command works and gives the same result
    assert errors(capsys.readouterr().out.splitlines()[-1]) == errors(lines[3])


def test_fit_writes_metrics_config_and_checkpoints(tmp_path: Path) -> None:
    main(["fit", "--config", "softmax", *SHORT])
    folder = tmp_path / "logs/softmax/version_0"
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"epoch", "step", "train_loss", "train_acc", "val_loss", "val_acc", "test_errors"} <= set(rows[0])
    assert list(folder.glob("events.out.tfevents.*"))
    assert (folder / "config.yaml").is_file()
    assert [path.name for path in sorted(folder.glob("checkpoints/*"))] == [
        "epoch=0-step=10.ckpt",
        "epoch=1-step=20.ckpt",
        "last.ckpt",
    ]
    main(["fit", "--config", "softmax", *SHORT])
    assert (tmp_path / "logs/softmax/version_1/checkpoints/last.ckpt").is_file()


@pytest.mark.parametrize("name", ["deep_relu_xavier", "dropout_batchnorm"])
def test_fit_is_reproducible_bit_for_bit(name: str) -> None:
    command = ["fit", "--config", name, *SHORT]
    main(command)
    torch.manual_seed(12345)  # an earlier state of the RNG must not matter
    main(command)
    main([*command, "--seed_everything", "1"])
    first, second, other = (weights(f"logs/{name}/version_{n}/checkpoints/last.ckpt") for n in range(3))
    assert first == second
    assert first != other


def test_fit_resumes_from_a_checkpoint() -> None:
    main(["fit", "--config", "softmax", *SHORT])
    command = ["fit", "--config", "softmax", *SHORT, "--trainer.max_epochs"]
    main([*command, "1"])
    main([*command, "2", "--ckpt_path", "logs/softmax/version_1/checkpoints/last.ckpt"])
    whole, resumed = (weights(f"logs/softmax/version_{n}/checkpoints/last.ckpt") for n in (0, 2))
    assert whole == resumed


def test_fit_without_testing_prints_the_checkpoint_path(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fit", "--config", "softmax", *SHORT, "--trainer.limit_test_batches", "0"]) == 0
    output = capsys.readouterr().out
    assert "Test set:" not in output
    assert "Checkpoint: logs/softmax/version_0/checkpoints/last.ckpt" in output


def test_fit_takes_the_model_from_the_command_line() -> None:
    assert main(["fit", "--model", "MLP", "--model.hidden_sizes", "[16, 8]", "--model.activation", "tanh", *SHORT]) == 0
    model = MLP.load_from_checkpoint("logs/MLP/version_0/checkpoints/last.ckpt")
    assert model.hparams["hidden_sizes"] == [16, 8]
    assert model.hparams["activation"] == "tanh"


def test_checkpoints_contain_the_class_path_and_primitive_types_only() -> None:
    main(["fit", "--config", "deep_relu_xavier", *SHORT])
    path = "logs/deep_relu_xavier/version_0/checkpoints/last.ckpt"
    content = torch.load(path, weights_only=True)
    arguments = content["hyper_parameters"]
    assert arguments["_class_path"] == "zoo.models.mlp.MLP"
    assert "_instantiator" not in arguments
    assert arguments["weight_init"] == "xavier_uniform"
    from pytorch_lightning import LightningModule

    with pytest.raises(zoo.UsageError, match=r"holds a zoo\.models\.mlp\.MLP"):
        zoo.models.SoftmaxRegression.load_from_checkpoint(path)
    assert isinstance(MLP.load_from_checkpoint(path, weights_only=True), LightningModule)


def test_predict_writes_probabilities_in_dataset_order_and_a_picture(capsys: pytest.CaptureFixture[str]) -> None:
    main(["fit", "--config", "softmax", *SHORT])
    trained = errors(capsys.readouterr().out)
    run = "logs/softmax/version_0"
    main(["predict", "--config", "softmax", "--ckpt_path", f"{run}/checkpoints/last.ckpt", "--seed", "3"])
    summary = capsys.readouterr().out
    assert errors(summary) == trained
    with Path("predictions/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [int(row["index"]) for row in rows] == list(range(10_000))
    model = zoo.models.SoftmaxRegression.load_from_checkpoint(f"{run}/checkpoints/last.ckpt").eval()
    data = zoo.MNISTDataModule()
    data.setup("test")
    images, labels = next(iter(data.test_dataloader()))
    probabilities = model(images).softmax(1)
    found = torch.tensor([[float(row[f"p{digit}"]) for digit in range(10)] for row in rows[:1000]])
    torch.testing.assert_close(found, probabilities, rtol=1e-5, atol=1e-7)
    assert [int(row["label"]) for row in rows[:1000]] == labels.tolist()
    assert sum(row["label"] != row["prediction"] for row in rows) == trained
    assert Path("predictions/predictions.png").read_bytes().startswith(b"\x89PNG")


def test_predict_prints_label_and_prediction_of_chosen_images_and_cuts_no_title_off(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Any] = []
    save = pictures.save_figure
    monkeypatch.setattr(prediction_writer, "save_figure", lambda figure, *_, **__: drawn.append(figure))
    for indices in ([8], [8, 247]):
        arguments = ["--config", "dropout", "--ckpt_path", "dropout", "--indices", str(indices)]
        assert main(["predict", *arguments, "--trainer.accelerator", "cpu"]) == 0
        lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("Image")]
        assert [line.split(", Prediction")[0] for line in lines] == [
            f"Image {index}: Label {label}" for index, label in zip(indices, (5, 4), strict=False)
        ]
    for figure in drawn:
        save(figure, Path("drawn.png"))
        title = figure._suptitle.get_window_extent()
        assert title.x0 >= 0
        assert title.x1 <= figure.bbox.width


def test_ckpt_path_accepts_the_name_of_a_member(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", "--config", "softmax", "--ckpt_path", "softmax", "--trainer.accelerator", "cpu"]) == 0
    metrics = zoo.model_info("softmax").metrics
    assert metrics is not None
    assert errors(capsys.readouterr().out) == metrics["test_errors"]
