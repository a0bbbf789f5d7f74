"""What must hold where there are GPUs, shown on a machine without one; the device "meta" takes the place of a GPU."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pytorch_lightning.trainer.states import TrainerStatus
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

import zoo
from tests.helpers import run_zoo
from zoo.callbacks.metrics_file import METRICS_FILE_VARIABLE
from zoo.cli import main
from zoo.cli.trainer_checks import use_double_precision
from zoo.data.batches import ImageBatches
from zoo.layers.sync_batchnorm import SyncBatchNormAnywhere
from zoo.models import MLP, RBM, BaggedEnsemble
from zoo.rbm.contrastive_divergence import ContrastiveDivergence
from zoo.training.engines import reason_against_capture
from zoo.training.optimizer_state import keep_fused
from zoo.utils.errors import UsageError
from zoo.utils.unchanged import unchanged_process


def test_steps_whose_images_are_elsewhere_are_not_captured() -> None:
    model = MLP(hidden_sizes=[8])
    optimizer = model.make_optimizer()
    assert reason_against_capture(model, optimizer, torch.zeros(1)) is None
    reason = reason_against_capture(model, optimizer, torch.zeros(1, device="meta"))
    assert reason is not None
    assert "images are not on the GPU" in reason


def test_synchronized_batch_norm_computes_on_the_device_of_its_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "all_reduce", lambda total: total)
    model: Any = nn.Sequential(nn.BatchNorm1d(5), nn.BatchNorm1d(5, affine=False))
    SyncBatchNormAnywhere().apply(model)  # before it is on its device, as in Lightning
    with FakeTensorMode(allow_non_fake_inputs=True):
        assert model.to("cuda")(torch.randn(4, 5, device="cuda")).device.type == "cuda"


def test_synchronized_batch_norm_gives_the_layers_back_on_any_device() -> None:
    model: Any = nn.Sequential(nn.BatchNorm1d(5), nn.BatchNorm2d(5))
    synchronized = SyncBatchNormAnywhere()
    synchronized.revert(synchronized.apply(model).to("meta"))
    assert [type(layer) for layer in model] == [nn.BatchNorm1d, nn.BatchNorm2d]


def test_images_follow_the_network_to_the_cpu_after_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    moves: list[str] = []
    move = ImageBatches.to

    def note(self: ImageBatches, device: torch.device) -> ImageBatches:
        moves.append(device.type)
        return move(self, device)

    monkeypatch.setattr(ImageBatches, "to", note)
    data = zoo.MNISTDataModule(num_train=10)
    data.setup("fit")
    trainer: Any = SimpleNamespace(
        state=SimpleNamespace(status=TrainerStatus.RUNNING),
        strategy=SimpleNamespace(root_device=torch.device("meta")),
        max_epochs=1,
    )
    data.trainer = trainer
    assert data.loader("validation", 5).dataset.images.device.type == "meta"  # type: ignore[attr-defined]
    trainer.state.status = TrainerStatus.FINISHED
    assert data.loader("train", 5).dataset.images.device.type == "cpu"  # type: ignore[attr-defined]
    moves.clear()

    def note_alone(self: ImageBatches, device: torch.device) -> ImageBatches:
        moves.append(device.type)
        return self

    monkeypatch.setattr(ImageBatches, "to", note_alone)  # what is on the device "meta" cannot come back
    data.teardown("fit")
    assert moves == ["cpu"]  # the validation images alone


def test_chains_move_with_their_machine() -> None:
    divergence = ContrastiveDivergence(4, 3, persistent=True)
    divergence.chains = torch.zeros(2, 4)
    assert divergence.double().chains.dtype == torch.float64  # type: ignore[union-attr]
    assert divergence.to("meta").chains.device.type == "meta"  # type: ignore[union-attr]


def test_a_trained_ensemble_keeps_no_bootstraps() -> None:
    model = zoo.fit("bagging", num_train=200, max_epochs=1, progress=False).model
    assert isinstance(model, BaggedEnsemble)
    assert model._sampler is None


def test_a_step_is_fused_as_on_this_device_and_not_as_in_the_checkpoint() -> None:
    def make(fused: bool) -> torch.optim.Optimizer:
        return torch.optim.Adam(nn.Linear(2, 2).parameters(), fused=fused)

    here, state = make(True), make(False).state_dict()
    keep_fused([here], [state])
    here.load_state_dict(state)
    assert here.param_groups[0]["fused"] is True


def test_a_gpu_that_a_training_was_the_first_to_use_has_the_program_s_seed_afterwards(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seeds: list[int] = []
    used = iter([False, True])
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: next(used))
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    monkeypatch.setattr(torch, "manual_seed", torch.default_generator.manual_seed)  # of the CPU only
    torch.manual_seed(5)
    with unchanged_process():
        torch.manual_seed(6)
    assert seeds == [5]


def test_apple_s_gpus_have_no_double_precision() -> None:
    strategy = SimpleNamespace(root_device=torch.device("mps"))
    with pytest.raises(UsageError, match="accelerator cpu"):
        use_double_precision(SimpleNamespace(precision="64-true", strategy=strategy), RBM(num_hidden=2))
    use_double_precision(SimpleNamespace(precision="32-true", strategy=strategy), RBM(num_hidden=2))


def test_bench_needs_a_gpu_for_measuring_on_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "softmax", "--accelerator", "gpu"]) == 2
    assert "torch sees no NVIDIA GPU here" in capsys.readouterr().err


def test_the_python_api_trains_on_one_device() -> None:
    run = zoo.fit("softmax", num_train=100, max_epochs=1, progress=False)
    assert int(run.config["trainer"]["devices"]) == 1
    with pytest.raises(UsageError, match="use the commands `zoo fit`"):
        zoo.fit("softmax", num_train=100, max_epochs=1, progress=False, accelerator="cpu", devices=2)
    assert sorted(os.listdir("logs/softmax")) == ["version_0"]


@pytest.mark.slow
def test_several_processes_write_one_file_of_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(METRICS_FILE_VARIABLE, "metrics.jsonl")
    fit = ["fit", "--config", "softmax", "--data.num_train", "200", "--trainer.max_epochs", "1"]
    run_zoo(*fit, "--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp")
    *_, last = map(json.loads, Path("metrics.jsonl").read_text().splitlines())
    assert last["test_images"] == 10_000
