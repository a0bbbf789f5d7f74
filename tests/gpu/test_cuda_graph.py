"""Captured steps train the networks that eager steps train."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import Tensor, nn

import zoo
from tests.conftest import MEMBERS
from zoo.cli import main
from zoo.models import MLP, RBM, ZooModule
from zoo.training.cuda_graph import CudaGraphEngine
from zoo.training.engines import CUDA_GRAPHS, EagerEngine, make_engine
from zoo.training.fused_update import FusedAdamInPieces, make_update
from zoo.training.multi_step import MultiStepTraining
from zoo.training.steps import Batch, StepResult

pytestmark = pytest.mark.gpu

CONVOLUTIONAL = ("accurate_cnn", "fast_cnn", "residual_cnn", "split_merge_cnn")
DEEP_BELIEF_NETS = ("dbn", "generative_dbn")


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """The kinds of engine that trainings use, one for each chunk."""
    used: list[type] = []
    run = MultiStepTraining.run

    def note(self: MultiStepTraining, chunk: Any) -> Any:
        results = run(self, chunk)
        used.append(type(self.engine))
        return results

    monkeypatch.setattr(MultiStepTraining, "run", note)
    return used


def train(make: Callable[[], ZooModule], epochs: int = 2, num_train: int = 1830, **settings: Any) -> ZooModule:
    """Train on batches of 100, the last of which is smaller, unless told otherwise."""
    seed_everything(0, verbose=False)
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "limit_val_batches": 1, "num_sanity_val_steps": 0}
    data = settings.pop("data", {})
    model = make()
    trainer = Trainer(max_epochs=epochs, accelerator="gpu", devices=1, **{**quiet, **settings})
    trainer.fit(model, datamodule=zoo.MNISTDataModule(num_train=num_train, **data))
    return model


def train_twice(
    make: Callable[[], ZooModule], monkeypatch: pytest.MonkeyPatch, engines: list[type], **settings: Any
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights of an eager training and of a captured one."""
    monkeypatch.setenv(CUDA_GRAPHS, "0")
    eager = train(make, **settings).state_dict()
    assert set(engines) == {EagerEngine}
    engines.clear()
    monkeypatch.delenv(CUDA_GRAPHS)
    captured = train(make, **settings).state_dict()
    assert set(engines) == {CudaGraphEngine}
    return eager, captured


def make_member(name: str, **arguments: Any) -> Callable[[], ZooModule]:
    if name in DEEP_BELIEF_NETS:
        arguments = {"pretrain_epochs": 1, "hidden_sizes": [64, 32], **arguments}
    return lambda: zoo.create_model(name, **arguments)


@pytest.mark.parametrize("name", MEMBERS)
def test_a_member_has_the_weights_of_eager_steps(
    name: str, monkeypatch: pytest.MonkeyPatch, engines: list[type]
) -> None:
    data: dict[str, Any] = {"with_indices": True} if name == "bagging" else {}
    data |= {"augment": "affine_elastic"} if name == "mlp_augmented" else {}
    # Some of cuDNN's kernels add in another order every time.
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    epochs = 4 if name in DEEP_BELIEF_NETS else 2
    eager, captured = train_twice(make_member(name), monkeypatch, engines, epochs=epochs, data=data)
    if name in CONVOLUTIONAL:
        torch.testing.assert_close(captured, eager, rtol=1e-5, atol=1e-5)
    else:
        assert all(map(torch.equal, captured.values(), eager.values()))


@pytest.mark.parametrize("name", ["dropout_batchnorm", "bagging", "dbn", "recurrent"])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_virtual_adversarial_training_and_max_norm_are_captured(
    name: str, optimizer: str, monkeypatch: pytest.MonkeyPatch, engines: list[type]
) -> None:
    make = make_member(name, vat_weight=1.0, max_norm=0.8, optimizer=optimizer)
    data: dict[str, Any] = {"with_indices": True} if name == "bagging" else {}
    eager, captured = train_twice(make, monkeypatch, engines, epochs=4 if name in DEEP_BELIEF_NETS else 2, data=data)
    for key, value in eager.items():
        torch.testing.assert_close(captured[key], value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["dropout_batchnorm", "dbn"])
def test_an_average_of_weights_is_captured(name: str, monkeypatch: pytest.MonkeyPatch, engines: list[type]) -> None:
    averages: list[EMAWeightAveraging] = []

    def train_with_average(number: int) -> dict[str, Tensor]:
        averages.append(EMAWeightAveraging(decay=0.9))
        return train(make_member(name), epochs=4, callbacks=[averages[number]]).state_dict()

    monkeypatch.setenv(CUDA_GRAPHS, "0")
    eager = train_with_average(0)
    assert set(engines) == {EagerEngine}
    engines.clear()
    monkeypatch.delenv(CUDA_GRAPHS)
    captured = train_with_average(1)
    assert set(engines) == {CudaGraphEngine}
    assert all(map(torch.equal, captured.values(), eager.values()))
    assert averages[1]._average_model is not None
    assert averages[1]._average_model.n_averaged.device.type == "cuda"


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_virtual_adversarial_training_in_other_precisions(
    precision: Any, monkeypatch: pytest.MonkeyPatch, engines: list[type]
) -> None:
    # A captured rate is in single precision, which has this number.
    make = make_member("dropout_batchnorm", vat_weight=1.0, lr=2**-10)
    eager, captured = train_twice(make, monkeypatch, engines, precision=precision)
    torch.testing.assert_close(captured, eager, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("how", [{}, {"persistent": False, "centred": True}, {"sparsity_target": 0.1}], ids=str)
def test_an_rbm_has_the_weights_of_eager_steps(
    how: dict[str, Any], monkeypatch: pytest.MonkeyPatch, engines: list[type]
) -> None:
    # The momentum changes after the first epoch, for which the steps are captured anew.
    make = lambda: RBM(num_hidden=64, initial_epochs=1, **how)  # noqa: E731
    eager, captured = train_twice(make, monkeypatch, engines, epochs=3)
    assert all(map(torch.equal, captured.values(), eager.values()))


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd", "rmsprop"])
def test_every_optimizer_and_its_learning_rates_are_captured(
    optimizer: str, schedule: str, monkeypatch: pytest.MonkeyPatch, engines: list[type]
) -> None:
    make = make_member("dropout_batchnorm", optimizer=optimizer, lr=0.01, lr_schedule=schedule, l2=0.001)
    eager, captured = train_twice(make, monkeypatch, engines)
    # A captured rate is in single precision, and RMSprop's captured step rounds otherwise.
    torch.testing.assert_close(captured, eager, rtol=1e-3, atol=1e-3 if optimizer == "rmsprop" else 1e-5)


@pytest.mark.parametrize("kind", [torch.optim.Adam, torch.optim.AdamW])
def test_adam_in_pieces_is_adam_to_the_last_bit(kind: Any) -> None:
    torch.manual_seed(0)
    weights = [torch.randn(shape, device="cuda") for shape in ((512, 784), (512,), (512, 512), (10, 512), (10,))]
    ones, others = ([torch.nn.Parameter(each.clone()) for each in weights] for _ in range(2))
    one, other = kind(ones, 0.01, fused=True), kind(others, 0.01, fused=True)
    update = make_update(one)
    assert isinstance(update, FusedAdamInPieces)
    for _ in range(5):
        for mine, theirs in zip(ones, others, strict=True):
            mine.grad = torch.randn_like(mine)
            theirs.grad = mine.grad.clone()
        update()
        other.step()
    assert all(map(torch.equal, ones, others))


def test_an_optimizer_that_cannot_be_captured_trains_eagerly_and_says_so(
    engines: list[type], capsys: pytest.CaptureFixture[str]
) -> None:
    train(make_member("deep_relu_xavier", optimizer="adagrad"))
    fused = set(engines) == {CudaGraphEngine}
    assert fused or "because Adagrad reads numbers on the host" in capsys.readouterr().err


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_other_precisions_are_captured(precision: Any, monkeypatch: pytest.MonkeyPatch, engines: list[type]) -> None:
    make = make_member("dropout_batchnorm")
    eager, captured = train_twice(make, monkeypatch, engines, precision=precision)
    torch.testing.assert_close(captured, eager, rtol=1e-5, atol=1e-5)


def test_dropout_differs_from_replay_to_replay() -> None:
    model = MLP(dropout=0.5, optimizer="sgd", lr=1e-30).cuda().train()
    batch = (torch.rand(100, 1, 28, 28, device="cuda"), torch.randint(10, (100,), device="cuda"))
    optimizer = model.make_optimizer()
    engine = make_engine(model, lambda rows: [batch] * len(rows), model.make_step(optimizer), optimizer)
    assert isinstance(engine, CudaGraphEngine)
    losses = engine.run(torch.zeros(43, 100, dtype=torch.int64, device="cuda"))["loss"]
    assert len(losses.unique()) == 43  # the weights stay, so only the noise differs


def test_a_graph_that_becomes_garbage_during_a_capture_does_no_harm() -> None:
    # CUDA ends no capture during which a graph was destroyed, and torch's generator would stay captured.
    spare = torch.cuda.CUDAGraph()
    with torch.cuda.graph(spare):
        torch.zeros(1, device="cuda")
    cycle: list[Any] = [spare]
    cycle.append(cycle)
    cycles = [cycle]
    del spare, cycle
    model = MLP(dropout=0.5).cuda().train()
    batch = (torch.rand(100, 1, 28, 28, device="cuda"), torch.randint(10, (100,), device="cuda"))
    optimizer = model.make_optimizer()
    own_step = model.make_step(optimizer)

    def step(batch: Batch) -> StepResult:
        if torch.cuda.is_current_stream_capturing():
            cycles.clear()
        return own_step(batch)

    thresholds = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    try:
        engine = make_engine(model, lambda rows: [batch] * len(rows), step, optimizer)
        engine.run(torch.zeros(13, 100, dtype=torch.int64, device="cuda"))
    finally:
        gc.set_threshold(*thresholds)
    assert not cycles
    assert 0 <= torch.rand(1, device="cuda").item() < 1


class Freezing(Callback):
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            pl_module.get_parameter("net.1.weight").requires_grad_(False)


def test_a_layer_that_a_callback_freezes_stays(monkeypatch: pytest.MonkeyPatch, engines: list[type]) -> None:
    make = make_member("deep_relu_xavier")
    after_one = train(make, epochs=1).state_dict()
    engines.clear()
    eager, captured = train_twice(make, monkeypatch, engines, epochs=3, callbacks=[Freezing()])
    assert all(map(torch.equal, captured.values(), eager.values()))
    assert torch.equal(captured["net.1.weight"], after_one["net.1.weight"])


class Unfreezing(Callback):
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            weight = pl_module.get_parameter("net.1.weight").requires_grad_(True)
            trainer.optimizers[0].add_param_group({"params": [weight], "lr": 0.01})


def test_a_layer_that_a_callback_unfreezes_is_trained(monkeypatch: pytest.MonkeyPatch, engines: list[type]) -> None:
    def make() -> ZooModule:
        model = MLP(hidden_sizes=[64])
        model.get_parameter("net.1.weight").requires_grad_(False)
        return model

    before = train(make, epochs=1).state_dict()
    engines.clear()
    eager, captured = train_twice(make, monkeypatch, engines, epochs=3, callbacks=[Unfreezing()])
    assert all(map(torch.equal, captured.values(), eager.values()))
    assert not torch.equal(captured["net.1.weight"], before["net.1.weight"])


class Annealing(Callback):
    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for part in pl_module.modules():
            if isinstance(part, nn.Dropout):
                part.p = 0.5 / (1 + trainer.current_epoch)
        pl_module.hparams["l2"] = 0.001 * trainer.current_epoch


def test_settings_that_a_callback_changes_are_followed(monkeypatch: pytest.MonkeyPatch, engines: list[type]) -> None:
    def make() -> ZooModule:
        return MLP(hidden_sizes=[64], dropout=0.5)

    eager, captured = train_twice(make, monkeypatch, engines, epochs=3, callbacks=[Annealing()])
    assert all(map(torch.equal, captured.values(), eager.values()))
    engines.clear()
    constant = train(make, epochs=3).state_dict()
    assert not torch.equal(captured["net.1.weight"], constant["net.1.weight"])


class Looking(Callback):
    def __init__(self) -> None:
        self.gradients: list[Tensor] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.gradients += [p.grad.clone() for p in pl_module.parameters() if p.grad is not None]


def test_gradients_can_be_looked_at_after_a_chunk(monkeypatch: pytest.MonkeyPatch, engines: list[type]) -> None:
    callbacks = [Looking(), Looking()]
    for callback, graphs in zip(callbacks, ("0", "1"), strict=True):
        monkeypatch.setenv(CUDA_GRAPHS, graphs)
        train(make_member("deep_relu_xavier"), num_train=1800, limit_val_batches=0, callbacks=[callback])
    assert len(callbacks[0].gradients) == 12
    assert all(map(torch.equal, *(callback.gradients for callback in callbacks)))


def test_what_is_hooked_is_called_in_every_step(engines: list[type], capsys: pytest.CaptureFixture[str]) -> None:
    calls: list[int] = []

    def make() -> ZooModule:
        model = zoo.create_model("deep_relu_xavier")
        model.net.register_forward_hook(lambda *_: calls.append(1))  # type: ignore[union-attr]
        return model

    train(make, epochs=1, limit_val_batches=0)
    assert len(calls) == 19
    assert set(engines) == {EagerEngine}
    assert "not captured as a CUDA graph, because something is called in every step" in capsys.readouterr().err


class Weighing(Callback):
    def __init__(self) -> None:
        self.reserved: list[int] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.reserved.append(torch.cuda.memory_reserved())


def test_memory_does_not_grow() -> None:
    callback = Weighing()
    train(make_member("dropout_batchnorm"), epochs=50, num_train=530, callbacks=[callback])
    assert callback.reserved[-1] == callback.reserved[4]


def last_checkpoint(version: int) -> dict[str, Tensor]:
    path = Path(f"logs/dropout_batchnorm/version_{version}/checkpoints/last.ckpt")
    state: dict[str, Tensor] = torch.load(path, weights_only=True)["state_dict"]
    return state


def test_a_resumed_training_is_that_of_an_uninterrupted_one() -> None:
    fit = ["fit", "--config", "dropout_batchnorm", "--trainer.accelerator", "gpu", "--trainer.max_epochs", "4"]
    fit += ["--data.num_train", "1830", "--trainer.limit_val_batches", "1", "--model.lr_schedule", "cosine"]
    often = ["--checkpoint.every_n_train_steps", "7", "--checkpoint.save_top_k", "-1"]
    assert main([*fit, *often]) == 0
    (within,) = Path("logs/dropout_batchnorm/version_0/checkpoints").glob("epoch=*-step=28.ckpt")
    assert main([*fit, "--ckpt_path", str(within)]) == 0
    assert all(map(torch.equal, last_checkpoint(0).values(), last_checkpoint(1).values()))


def test_a_nan_loss_is_found_and_its_step_named(capsys: pytest.CaptureFixture[str]) -> None:
    fit = ["fit", "--config", "deep_relu_xavier", "--trainer.accelerator", "gpu", "--trainer.max_epochs", "1"]
    assert main([*fit, "--model.optimizer", "sgd", "--model.lr", "1e38"]) == 2
    assert " at step " in capsys.readouterr().err
