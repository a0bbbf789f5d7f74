"""Several steps in one call mean what they mean one by one."""

from __future__ import annotations

import gc
import os
import signal
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from pytorch_lightning import Callback, Trainer, seed_everything
from pytorch_lightning.callbacks import (
    EarlyStopping,
    GradientAccumulationScheduler,
    LambdaCallback,
    StochasticWeightAveraging,
)
from torch import Tensor
from torch.nn.modules.module import register_module_forward_hook
from torch.optim import LBFGS
from torch.optim.lr_scheduler import ReduceLROnPlateau, StepLR
from torch.optim.optimizer import register_optimizer_step_post_hook

import zoo
from tests.helpers import weights
from zoo.callbacks.graceful_stop import GracefulStop
from zoo.cli import main
from zoo.models import MLP, RBM
from zoo.runs.checkpoint import read_checkpoint
from zoo.training.manual_backward import ManualStep
from zoo.training.multi_step import MultiStepTraining
from zoo.training.steps import Batch, LossAndMetrics, StepResult

FIT = ["fit", "--config", "dropout_batchnorm", "--trainer.accelerator", "cpu", "--trainer.max_epochs", "2"]
FIT += ["--model.hidden_sizes", "[16, 16]", "--data.num_train", "720", "--data.batch_size", "50"]  # 15 steps an epoch
FIT += ["--model.lr_schedule", "cosine"]
LOGS = Path("logs/dropout_batchnorm")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The steps after which the zoo's own callbacks were called."""
    steps: list[int] = []
    original = GracefulStop.on_train_batch_end

    def note(self: GracefulStop, trainer: Any, *rest: Any) -> None:
        steps.append(trainer.global_step)
        original(self, trainer, *rest)

    monkeypatch.setattr(GracefulStop, "on_train_batch_end", note)
    return steps


def run(steps: int | None, *more: str) -> Path:
    number = len(list(LOGS.glob("version_*")))
    chosen = [] if steps is None else ["--model.steps_per_call", str(steps)]
    assert main([*FIT, *chosen, *more]) == 0
    return LOGS / f"version_{number}" / "checkpoints" / "last.ckpt"


@pytest.mark.parametrize(
    "how",
    [
        [],
        ["--data.augment", "affine_elastic", "--trainer.precision", "64-true"],
        ["--trainer.callbacks+", "EMAWeightAveraging", "--trainer.callbacks.decay", "0.9"],
        ["--trainer.callbacks+", "EMAWeightAveraging", "--trainer.precision", "64-true"],
        pytest.param(["--model.optimizer", "sgd", "--model.lr", "0.1", "--model.l2", "0.001"], marks=pytest.mark.slow),
        pytest.param(["--trainer.precision", "bf16-mixed"], marks=pytest.mark.slow),
    ],
)
def test_the_weights_are_the_same_to_the_last_bit(how: list[str], seen: list[int]) -> None:
    one = run(1, *how)
    assert seen == list(range(1, 31))
    for steps in (None, 7):
        seen.clear()
        assert weights(run(steps, *how)) == weights(one)
    assert seen == [7, 14, 15, 22, 29, 30]
    contents = [read_checkpoint(path).content for path in LOGS.glob("version_*/checkpoints/last.ckpt")]
    assert {content["global_step"] for content in contents} == {30}
    going_on = [content.get("current_model_state", {}) for content in contents]
    assert all(torch.equal(value, other[name]) for other in going_on for name, value in going_on[0].items())
    metrics = {path.read_text() for path in LOGS.glob("version_*/metrics.csv")}
    assert len(metrics) == 1


@pytest.mark.parametrize(
    "name",
    [
        "bagging",
        "recurrent",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("selu", "split_merge", "residual_cnn")),
    ],
)
def test_members_of_every_kind_have_the_same_weights(name: str) -> None:
    short = ["--trainer.accelerator", "cpu", "--trainer.max_epochs", "2", "--data.num_train", "150"]
    for steps in ("1", "4"):
        fit = ["fit", "--config", name, *short, "--data.batch_size", "25"]
        assert (
            main(
                [
                    *fit,
                    "--model.steps_per_call",
                    steps,
                    "--trainer.limit_test_batches",
                    "1",
                    "--trainer.limit_val_batches",
                    "1",
                ]
            )
            == 0
        )
    one, four = (Path(f"logs/{name}/version_{number}/checkpoints/last.ckpt") for number in (0, 1))
    assert weights(one) == weights(four)
    assert (one.parent.parent / "metrics.csv").read_text() == (four.parent.parent / "metrics.csv").read_text()


@pytest.mark.parametrize(
    "how",
    [
        {},
        pytest.param({"persistent": False, "sample_pixels": False, "centred": True}, marks=pytest.mark.slow),
        pytest.param({"sparsity_target": 0.1, "lr_schedule": "cosine"}, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_an_rbm_has_the_same_weights(how: dict[str, Any], seen: list[int]) -> None:
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trained = []
    for steps in (1, None, 4):
        seed_everything(0, verbose=False)
        model = RBM(num_hidden=16, steps_per_call=steps, **how)
        guard = GracefulStop()
        trainer = Trainer(max_epochs=2, accelerator="cpu", callbacks=[guard], num_sanity_val_steps=0, **quiet)
        trainer.fit(model, datamodule=zoo.MNISTDataModule(num_train=600))
        trained.append(model.state_dict())
    assert seen == [*range(1, 13), 6, 12, 4, 6, 10, 12]
    for other in trained[1:]:
        assert all(torch.equal(value, other[name]) for name, value in trained[0].items())


def test_a_training_ends_at_its_last_step(seen: list[int]) -> None:
    path = run(100, "--trainer.max_steps", "22")
    assert seen == [14, 15, 22]  # an epoch's last batch, which is smaller, has a call of its own
    assert read_checkpoint(path).content["global_step"] == 22
    assert weights(path) == weights(run(1, "--trainer.max_steps", "22"))


def test_checkpoints_are_of_their_steps_and_a_training_goes_on_from_each_with_or_without_blocks(
    seen: list[int],
) -> None:
    often = ["--checkpoint.every_n_train_steps", "4", "--checkpoint.save_top_k", "-1"]
    whole = run(6, *often)
    assert seen == [4, 8, 12, 14, 15, 16, 20, 24, 28, 29, 30]
    folder = whole.parent
    assert sorted(int(path.stem.rpartition("=")[2]) for path in folder.glob("epoch*.ckpt")) == [*range(4, 29, 4), 30]
    ordinary = run(1, *often).parent
    for step, steps in ((8, 1), (20, 50), (12, 5)):
        (path,) = folder.glob(f"epoch=*-step={step}.ckpt")
        assert weights(path) == weights(ordinary / path.name)
        assert weights(run(steps, "--ckpt_path", str(path))) == weights(whole)
        assert weights(run(steps, "--ckpt_path", str(ordinary / path.name))) == weights(whole)


def test_validation_within_an_epoch_is_where_it_was_asked_for(seen: list[int]) -> None:
    path = run(None, "--trainer.val_check_interval", "5")
    assert seen == [5, 10, 14, 15, 20, 25, 29, 30]
    rows = (path.parent.parent / "metrics.csv").read_text().count("\n")
    assert rows == (run(1, "--trainer.val_check_interval", "5").parent.parent / "metrics.csv").read_text().count("\n")


def test_a_training_that_stops_early_makes_as_many_steps_as_it_must(seen: list[int]) -> None:
    stopping = ["--trainer.callbacks", "EarlyStopping", "--trainer.callbacks.monitor", "val_loss"]
    stopping += [
        "--trainer.callbacks.patience",
        "1",
        "--trainer.callbacks.min_delta",
        "10",
        "--trainer.max_epochs",
        "5",
    ]
    run(None, *stopping, "--trainer.min_steps", "35")
    blocks = seen[-1]
    run(1, *stopping, "--trainer.min_steps", "35")
    assert seen[-1] == blocks == 35


def test_an_epoch_may_be_cut_short(seen: list[int]) -> None:
    path = run(None, "--trainer.limit_train_batches", "8")
    assert seen == [8, 16]
    assert weights(path) == weights(run(1, "--trainer.limit_train_batches", "8"))


@pytest.mark.parametrize(
    ("setting", "reason"),
    [
        (["--trainer.accumulate_grad_batches", "2"], "gradients are accumulated"),
        (["--trainer.gradient_clip_val", "1.0"], "gradients are clipped"),
        (["--trainer.profiler", "simple"], "a profiler looks at every step"),
        (["--trainer.callbacks", "tests.helpers.BreakWeightsAt", "--trainer.callbacks.step", "99"], "BreakWeightsAt"),
        (["--checkpoint.train_time_interval", "null"], ""),
    ],
)
def test_where_each_step_is_looked_at_there_are_no_blocks(
    setting: list[str], reason: str, seen: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    run(50, *setting, "--trainer.max_epochs", "1")
    said = capsys.readouterr().err
    assert (f"steps_per_call is 1 here, because {reason}" in said) == bool(reason)
    assert (len(seen) == 15) == bool(reason)


def test_a_signal_ends_a_training_after_the_step_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(6)
    step = ManualStep.__call__
    made = 0

    def interrupted(self: ManualStep, batch: Batch) -> StepResult:
        nonlocal made
        made += 1
        if made == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return step(self, batch)

    monkeypatch.setattr(ManualStep, "__call__", interrupted)
    assert main([*FIT, "--model.steps_per_call", "6"]) == 143
    assert (LOGS / "version_1/checkpoints/interrupted-epoch=0-step=9.ckpt").is_file()
    assert weights(run(6, "--ckpt_path", "last")) == weights(whole)


def train(model: Any, max_epochs: int = 2, num_train: int = 1030, **settings: Any) -> Trainer:
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "limit_val_batches": 0}
    trainer = Trainer(max_epochs=max_epochs, **{**quiet, **settings})
    trainer.fit(model, datamodule=zoo.MNISTDataModule(num_train=num_train))
    return trainer


def small(cls: type[MLP] = MLP, **arguments: Any) -> MLP:
    torch.manual_seed(0)
    return cls(hidden_sizes=[16], **arguments)


class EpochSchedule(MLP):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        return [optimizer], [StepLR(optimizer, 1, 0.5)]


class RareSchedule(MLP):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        schedule = {"scheduler": StepLR(optimizer, 1, 0.5), "interval": "step", "frequency": 10}
        return {"optimizer": optimizer, "lr_scheduler": schedule}


class Plateau(MLP):
    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer()
        return {"optimizer": optimizer, "lr_scheduler": ReduceLROnPlateau(optimizer), "monitor": "train_loss"}


class SecondOrder(MLP):
    def configure_optimizers(self) -> Any:
        return LBFGS(self.parameters(), lr=0.01, max_iter=2)


class OwnClipping(MLP):
    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        self.clip_gradients(optimizer, gradient_clip_val=0.001)


class OwnBackward(MLP):
    def backward(self, loss: Tensor) -> None:
        (2 * loss).backward()


class OwnSchedule(MLP):
    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        if self.global_step % 2:
            scheduler.step()


class OwnZero(MLP):
    def optimizer_zero_grad(self, epoch: int, batch_idx: int, optimizer: Any) -> None:
        if batch_idx % 3 == 0:
            optimizer.zero_grad()


@pytest.mark.parametrize(
    "cls",
    [EpochSchedule, RareSchedule, Plateau, SecondOrder, OwnClipping, OwnBackward, OwnSchedule, OwnZero],
)
def test_what_a_subclass_does_otherwise_is_done_in_every_step(cls: type[MLP]) -> None:
    found = []
    for steps in (1, None):
        model = small(cls, steps_per_call=steps, lr_schedule="cosine")
        found.append((train(model).optimizers[0].param_groups[0]["lr"], *model.state_dict().values()))
    assert found[0][0] == found[1][0]
    assert all(map(torch.equal, found[0][1:], found[1][1:]))


class Stubborn(EarlyStopping):
    calls = 0

    def on_train_batch_end(self, *_: Any) -> None:
        self.calls += 1


@pytest.mark.parametrize(
    "make",
    [
        lambda: GradientAccumulationScheduler({1: 5}),
        lambda: StochasticWeightAveraging(swa_lrs=0.05, swa_epoch_start=1, annealing_epochs=10),
        lambda: LambdaCallback(on_train_batch_start=lambda trainer, module, *_: module.net[1].weight.data.mul_(0.9)),
    ],
    ids=["accumulation", "averaging", "function"],
)
def test_lightning_s_own_callbacks_change_every_step_they_want_to(make: Any) -> None:
    found = []
    for steps in (1, None):
        model = small(batch_norm=True, steps_per_call=steps)
        trainer = train(model, 3, callbacks=[make()])
        found.append((trainer.global_step, *model.state_dict().values()))
    assert found[0][0] == found[1][0]
    assert all(map(torch.equal, found[0][1:], found[1][1:]))


def test_a_callback_derived_from_one_of_lightning_s_sees_every_step() -> None:
    callback = Stubborn("train_loss")
    train(small(), callbacks=[callback], check_val_every_n_epoch=99)
    assert callback.calls == 22


class Logging(MLP):
    def step(self, batch: Batch) -> LossAndMetrics:
        output = super().step(batch)
        self.log("own", output.loss.detach(), on_step=False, on_epoch=True)
        return output


def test_what_a_cost_logs_has_the_same_mean() -> None:
    logged = [float(train(small(Logging, steps_per_call=steps)).callback_metrics["own"]) for steps in (1, None)]
    assert logged[0] == logged[1]


def test_whatever_is_hooked_is_called_in_every_step() -> None:
    calls: list[int] = []

    def note(*_: Any) -> None:
        calls.append(1)

    for hook in (
        lambda model: model.register_forward_hook(note),
        lambda model: model.net.register_forward_pre_hook(note),
        lambda model: model.net[1].weight.register_post_accumulate_grad_hook(note),
        lambda model: register_module_forward_hook(lambda module, *_: note() if module is model.net else None),
        lambda model: register_optimizer_step_post_hook(note),
    ):
        model = small()
        calls.clear()
        handle = hook(model)
        train(model)
        handle.remove()
        assert len(calls) == 22


class Broken(MLP):
    def forward(self, images: Tensor) -> Tensor:
        logits = super().forward(images)
        # Its derivative at 0 is 0 times infinity.
        return logits + (logits - logits.detach()).sqrt().sum() * 0


def test_anomalies_are_looked_for_in_every_step() -> None:
    with pytest.raises(RuntimeError, match="returned nan values"):
        train(small(Broken), detect_anomaly=True)


class CountedSteps(RBM):
    calls = 0

    def step(self, batch: Batch) -> LossAndMetrics:
        self.calls += 1
        return super().step(batch)


@pytest.mark.parametrize("centred", [False, True])
def test_an_rbm_s_frozen_weights_stay_and_its_hooks_are_called(centred: bool) -> None:
    found = []
    for steps in (1, None):
        seed_everything(0, verbose=False)
        model = RBM(num_hidden=16, centred=centred, steps_per_call=steps)
        model.rbm.weight.register_hook(lambda gradient: gradient / 2)
        if not centred:
            model.rbm.hidden_bias.requires_grad_(False)
        train(model)
        found.append([*model.state_dict().values()])
    assert all(map(torch.equal, *found))
    own = CountedSteps(num_hidden=16)
    train(own)
    assert own.calls == 22


class Meddling(Callback):
    """Reads gradients, leaves others behind, and freezes one part of the network after the other."""

    def __init__(self) -> None:
        self.seen: list[Tensor] = []

    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.seen += [each.grad.clone() for each in pl_module.parameters() if each.requires_grad]
        pl_module(torch.rand(5, 1, 28, 28)).sum().backward()

    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.current_epoch == 1:
            pl_module.net[2].bias.requires_grad_(False)
        if trainer.current_epoch == 2:
            pl_module.net[1].weight.requires_grad_(False)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_callbacks_may_read_gradients_leave_some_and_freeze_layers_between_blocks(optimizer: str) -> None:
    found = []
    for steps in (1, 4):
        torch.manual_seed(0)
        model = zoo.models.MLP(hidden_sizes=[32, 16], batch_norm=True, optimizer=optimizer, steps_per_call=steps)
        callback = Meddling()
        quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        # Before a validation Lightning itself throws the gradients away.
        trainer = Trainer(max_epochs=3, limit_val_batches=0, callbacks=[callback], **quiet)
        trainer.fit(model, datamodule=zoo.MNISTDataModule(num_train=1000))
        found.append([*model.state_dict().values(), *callback.seen])
    one_by_one, in_blocks = found
    assert all(map(torch.equal, one_by_one, in_blocks))


def test_a_loss_that_is_no_number_stops_the_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*FIT, "--model.optimizer", "sgd", "--model.lr", "1e38"]) == 2
    assert "The loss is" in capsys.readouterr().err


def test_the_step_whose_loss_was_no_number_is_named_even_if_the_next_ones_were_fine(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    step = ManualStep.__call__
    made = 0

    def spoilt(self: ManualStep, batch: Batch) -> StepResult:
        nonlocal made
        made += 1
        result = step(self, batch)
        return {**result, "loss": result["loss"] * torch.inf} if made == 7 else result

    monkeypatch.setattr(ManualStep, "__call__", spoilt)
    assert main(FIT) == 2
    assert "The loss is inf at step 7 (epoch 1)" in capsys.readouterr().err


class Breaking(Callback):
    def on_train_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        raise RuntimeError("broken off")


def test_a_network_trained_in_blocks_is_trained_again_without() -> None:
    model = small()
    train(model)
    train(model, gradient_clip_val=1.0)
    train(model, accumulate_grad_batches=2)
    with pytest.raises(RuntimeError, match="broken off"):
        train(model, callbacks=[Breaking()])
    trainer = train(model, gradient_clip_val=1.0, max_epochs=1)
    assert trainer.global_step == 11
    assert model.automatic_optimization


def test_a_loader_that_gave_blocks_gives_another_network_batches() -> None:
    data = zoo.MNISTDataModule(num_train=300)
    data.setup("fit")
    loader = data.train_dataloader()
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"max_epochs": 1, "accelerator": "cpu"}
    validation = data.val_dataloader()
    with pytest.raises(RuntimeError, match="broken off"):
        Trainer(callbacks=[Breaking()], **quiet).fit(small(), loader, validation)
    trainer = Trainer(**quiet)
    trainer.fit(small(steps_per_call=1), loader, validation)
    assert trainer.global_step == 3


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_what_makes_steps_goes_with_its_training(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    # On a GPU it holds graphs and their memory, and these must not wait for garbage to be collected.
    made: list[weakref.ref[MultiStepTraining]] = []
    run_chunk = MultiStepTraining.run

    def note(self: MultiStepTraining, chunk: Any) -> Any:
        made.append(weakref.ref(self))
        return run_chunk(self, chunk)

    monkeypatch.setattr(MultiStepTraining, "run", note)
    gc.disable()
    try:
        train(small(lr_schedule=schedule))
        assert made
        assert all(each() is None for each in made)
    finally:
        gc.enable()
