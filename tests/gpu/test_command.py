"""The command on a machine with a GPU."""

from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Trainer

import zoo
from tests.helpers import SOURCE
from zoo.cli import main
from zoo.utils.float32_precision import kept_float32_precision, set_float32_precision

pytestmark = pytest.mark.gpu

ON_ONE_GPU = ("--trainer.accelerator", "gpu", "--trainer.devices", "1")


@pytest.mark.parametrize("name", zoo.list_models(pretrained=True))
def test_a_trained_member_makes_the_published_errors(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    metrics = zoo.model_info(name).metrics
    assert metrics is not None
    assert main(["test", "--config", name, "--ckpt_path", name, *ON_ONE_GPU]) == 0
    assert f" {metrics['test_errors']:,} errors" in capsys.readouterr().out


PATH = os.pathsep.join(filter(None, (SOURCE, os.environ.get("PYTHONPATH"))))


def zoo_fit(*arguments: str, name: str = "softmax") -> subprocess.CompletedProcess[str]:
    words = ["fit", "--config", name, "--trainer.max_epochs", "1", "--data.num_train", "500", *arguments]
    return subprocess.run(
        [sys.executable, "-m", "zoo", *words], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": PATH}
    )


@pytest.mark.parametrize("accelerator", ["cpu", "gpu"])
def test_a_training_prints_its_own_lines_and_no_hint_of_lightning_s(accelerator: str) -> None:
    run = zoo_fit("--trainer.accelerator", accelerator, "--trainer.devices", "1")
    assert run.returncode == 0
    assert run.stderr == ""
    device = torch.cuda.get_device_name() if accelerator == "gpu" else "CPU"
    assert f"training on {device}" in run.stdout


def test_tf32_is_an_option_and_given_back() -> None:
    fit = ["fit", "--config", "softmax", *ON_ONE_GPU, "--data.num_train", "500"]
    assert main([*fit, "--trainer.max_epochs", "1", "--float32_matmul_precision", "high"]) == 0
    assert "float32_matmul_precision: high" in Path("logs/softmax/version_0/config.yaml").read_text()
    assert torch.get_float32_matmul_precision() == "highest"


def test_trainings_on_images_in_the_memory_of_the_host() -> None:
    data = zoo.MNISTDataModule(num_train=500)
    data.setup("fit")
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    for name in ("deep_relu_xavier", "bagging"):
        loader = data.loader("train", 50, training=True, with_indices=True)
        validation = data.loader("validation", 50, training=False)
        Trainer(max_epochs=2, accelerator="gpu", devices=1, **quiet).fit(zoo.create_model(name), loader, validation)


def test_scikit_learn_s_estimator_trains_on_a_gpu() -> None:
    pytest.importorskip("sklearn", minversion="1.6")
    from zoo.sklearn import ZooClassifier

    images = torch.randint(0, 256, (500, 784)).div(255).numpy()
    for name in ("softmax", "bagging"):
        estimator = ZooClassifier(name, accelerator="gpu", max_epochs=2, random_state=0).fit(images, [0, 1] * 250)
        assert estimator.predict(images).shape == (500,)


def test_synchronized_batch_norm_on_one_card() -> None:
    run = zoo_fit("--config", "trainer/multi_gpu", "--trainer.devices", "1", name="dropout_batchnorm")
    assert run.returncode == 0, run.stderr


def test_images_and_network_are_on_the_same_device_after_a_training() -> None:
    data = zoo.MNISTDataModule(num_train=500)
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    model = zoo.create_model("softmax")
    Trainer(max_epochs=1, accelerator="gpu", devices=1, **quiet).fit(model, datamodule=data)
    images, *_ = next(iter(data.val_dataloader()))
    assert model(images).shape == (len(images), 10)


def test_convolutions_and_recurrent_layers_are_computed_in_full() -> None:
    for name in ("residual_cnn", "recurrent"):
        model = zoo.load_pretrained(name)
        images = torch.rand(100, 1, 28, 28)
        with torch.no_grad(), kept_float32_precision():
            exact = copy.deepcopy(model).double()(images.double())
            set_float32_precision("highest")
            found = model.cuda()(images.cuda()).cpu()
        torch.testing.assert_close(found.double(), exact, rtol=1e-4, atol=1e-4)


def test_two_ranks_on_one_card_arrive_at_the_weights_of_two_cpu_ranks(tmp_path: Path) -> None:
    weights = {}
    for accelerator in ("gpu", "cpu"):
        folder = tmp_path / accelerator
        folder.mkdir()
        fit = ["-m", "zoo", "fit", "--config", "deep_relu_xavier", "--trainer.accelerator", accelerator]
        fit += ["--trainer.devices", "1", "--trainer.num_nodes", "2", "--trainer.max_steps", "50"]
        # Adam makes full steps of rounding errors, and fifty steps in single precision multiply them.
        fit += ["--model.optimizer", "sgd", "--model.lr", "0.1", "--trainer.precision", "64-true"]
        fit += ["--trainer.strategy.class_path", "DDPStrategy"]
        fit += ["--trainer.strategy.init_args.process_group_backend", "gloo", "--trainer.limit_val_batches", "1"]
        environment = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29512", "WORLD_SIZE": "2", "LOCAL_RANK": "0"}
        environment |= {"LOCAL_WORLD_SIZE": "1", "OMP_NUM_THREADS": "1", "TORCHELASTIC_RUN_ID": "zoo"}
        ranks = [
            subprocess.Popen(
                [sys.executable, *fit],
                cwd=folder,
                env={**os.environ, **environment, "PYTHONPATH": PATH, "RANK": rank, "GROUP_RANK": rank},
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in "01"
        ]
        for rank in ranks:
            _, error_output = rank.communicate(timeout=100)
            assert rank.returncode == 0, error_output
        path = folder / "logs/deep_relu_xavier/version_0/checkpoints/last.ckpt"
        weights[accelerator] = torch.load(path, weights_only=True, map_location="cpu")["state_dict"]
    # Pixels are divided by 255 in single precision, where a GPU multiplies by 1/255.
    torch.testing.assert_close(weights["gpu"], weights["cpu"], rtol=1e-5, atol=1e-6)


@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="NCCL wants a card for each rank")
def test_two_ranks_with_nccl() -> None:
    fit = [
        "-m",
        "zoo",
        "fit",
        "--config",
        "deep_relu_xavier",
        "--config",
        "trainer/multi_gpu",
        "--trainer.devices",
        "2",
    ]
    run = subprocess.run([sys.executable, *fit, "--trainer.max_steps", "50"], env={**os.environ, "PYTHONPATH": PATH})
    assert run.returncode == 0
