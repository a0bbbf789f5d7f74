"""Lightning's `EMAWeightAveraging` in the zoo: exact on resume, and the tested network is the saved one."""

from __future__ import annotations

import json
import re
import shlex
import signal
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from pytorch_lightning import Callback, LightningModule, Trainer, seed_everything
from pytorch_lightning.callbacks import EMAWeightAveraging
from torch import Tensor

import zoo
from tests.helpers import error_output, errors, run_zoo, weights
from zoo.cli import main
from zoo.models import CNN, MLP

DECAY = 0.9


def callback(name: str, **arguments: Any) -> list[str]:
    return ["--trainer.callbacks+", json.dumps({"class_path": name, "init_args": arguments})]


# Two epochs of ten steps, with a schedule and batch norm.
SMALL = ["--model.channels", "[[2], [4]]", "--model.hidden_sizes", "[8]"]
FIT = ["fit", "--config", "fast_cnn", "--trainer.accelerator", "cpu", "--data.num_train", "1000", *SMALL]
FIT += ["--trainer.max_epochs", "2", "--data.val_size", "200", *callback("EMAWeightAveraging", decay=DECAY)]


def make_trainer(*callbacks: Callback, **settings: Any) -> Trainer:
    quiet: dict[str, Any] = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "accelerator": "cpu", "limit_val_batches": 0}
    return Trainer(max_epochs=2, callbacks=list(callbacks), **{**quiet, **settings})


def small_data(**settings: Any) -> zoo.MNISTDataModule:
    return zoo.MNISTDataModule(num_train=400, **settings)


class KeepStates(Callback):
    """Keeps the state of the network after every step."""

    states: ClassVar[list[dict[str, Tensor]]] = []

    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.states.append({name: value.clone() for name, value in pl_module.state_dict().items()})


def last_checkpoint(version: int) -> Path:
    return Path(f"logs/fast_cnn/version_{version}/checkpoints/last.ckpt")


def test_the_saved_network_is_the_average_by_its_definition_also_after_a_resume_within_an_epoch(
    capsys: pytest.CaptureFixture[str],
) -> None:
    KeepStates.states.clear()
    assert main([*FIT, *callback("tests.callbacks.test_weight_averaging.KeepStates")]) == 0
    output = capsys.readouterr().out
    assert len(KeepStates.states) == 20
    average = KeepStates.states[0]
    for state in KeepStates.states[1:]:
        average = {
            name: DECAY * average[name] + (1 - DECAY) * value if value.is_floating_point() else value
            for name, value in state.items()
        }
    saved = torch.load(last_checkpoint(0), weights_only=True)["state_dict"]
    assert all(torch.equal(value, saved[name]) for name, value in average.items())

    # What was tested is what was saved.
    printed = re.search(r"Test it: +zoo (.*)", output)
    assert printed
    assert main(shlex.split(printed[1])) == 0
    assert errors(capsys.readouterr().out) == errors(output)

    assert main([*FIT, *callback("tests.helpers.SignalAt", step=13, signal=int(signal.SIGTERM))]) == 143
    assert main([*FIT, "--ckpt_path", "last"]) == 0
    assert weights(last_checkpoint(2)) == weights(last_checkpoint(0))
    assert errors(capsys.readouterr().out) == errors(output)


def test_an_average_in_chunks_of_steps_goes_on_exactly(capsys: pytest.CaptureFixture[str]) -> None:
    fit = [*FIT, "--model.steps_per_call", "4"]
    assert main(fit) == 0
    assert main([*fit, *callback("tests.helpers.SignalAt", step=12, signal=int(signal.SIGTERM))]) == 143
    capsys.readouterr()
    assert main([*fit, "--ckpt_path", "last"]) == 0
    assert "steps_per_call is 1" not in capsys.readouterr().out
    assert weights(last_checkpoint(2)) == weights(last_checkpoint(0))


@pytest.mark.parametrize("end", ["max_epochs", "max_steps"])
def test_a_last_step_that_is_saved_by_itself_goes_on_exactly(end: str, capsys: pytest.CaptureFixture[str]) -> None:
    fit = [*FIT, "--checkpoint.every_n_train_steps", "4"]
    fit[fit.index("fast_cnn")] = "deep_relu_xavier"  # its learning rate is constant
    del fit[fit.index("--model.channels") : fit.index("--model.channels") + 2]
    assert main([*fit, f"--trainer.{end}", {"max_epochs": "1", "max_steps": "10"}[end]]) == 0
    folder = Path("logs/deep_relu_xavier")
    assert main([*fit, "--ckpt_path", str(folder / "version_0/checkpoints/last.ckpt")]) == 0
    assert main(fit) == 0
    capsys.readouterr()
    resumed, whole = (folder / f"version_{version}/checkpoints/last.ckpt" for version in (1, 2))
    assert weights(resumed) == weights(whole)
    states = [torch.load(path, weights_only=True)["current_model_state"] for path in (resumed, whole)]
    assert all(map(torch.equal, states[0].values(), states[1].values()))


@pytest.mark.parametrize("steps", [1, None])
def test_an_average_is_as_precise_as_the_weights(steps: int | None) -> None:
    trained = {}
    for validated in (0, 1):
        seed_everything(0, verbose=False)
        callback = EMAWeightAveraging(decay=DECAY)
        trainer = make_trainer(callback, precision="64-true", limit_val_batches=validated)
        trainer.fit(MLP([8], steps_per_call=steps), datamodule=small_data())
        assert callback._average_model is not None
        trained[validated] = callback._average_model.module.state_dict()
    weight = trained[1]["net.1.weight"]
    assert not torch.equal(weight, weight.float().double())
    # The average and the weights change places for a validation.
    assert all(map(torch.equal, trained[0].values(), trained[1].values()))


@pytest.mark.parametrize("steps", [1, None])
def test_a_callback_averages_in_a_second_training_too(steps: int | None) -> None:
    callback = EMAWeightAveraging(decay=DECAY)
    for _ in range(2):
        make_trainer(callback).fit(MLP([8], steps_per_call=steps), datamodule=small_data())
        assert callback._average_model is not None
        assert callback._average_model.n_averaged == 8


def test_the_fingerprint_of_a_bagged_ensemble_s_images_is_not_averaged() -> None:
    model = zoo.create_model("bagging", num_members=2)
    data = small_data(with_indices=True)
    trainer = make_trainer(EMAWeightAveraging(decay=DECAY))
    trainer.fit(model, datamodule=data)
    assert "oob_acc" in trainer.test(model, datamodule=data, verbose=False)[0]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint from the middle of a training."""
    root = tmp_path_factory.mktemp("runs")
    assert main([*FIT, "--trainer.max_steps", "4", "--trainer.default_root_dir", str(root)]) == 0
    return root / "fast_cnn/version_0/checkpoints/last.ckpt"


def test_a_checkpoint_of_averaged_weights_loads_as_any_other(trained: Path) -> None:
    model = CNN.load_from_checkpoint(trained).eval()
    saved = torch.load(trained, weights_only=True)
    assert all(torch.equal(value, saved["state_dict"][name]) for name, value in model.state_dict().items())
    assert any(
        not torch.equal(value, saved["state_dict"][name]) for name, value in saved["current_model_state"].items()
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("current_model_state", 3, "is damaged: its current_model_state holds no weights"),
        ("current_model_state", {"net.0.weight": 3}, "is damaged: its current_model_state holds no weights"),
        ("current_model_state", {}, "is of another architecture"),
        ("averaging_state", {}, "is damaged: its averaging_state has no n_averaged"),
        ("averaging_state", {"n_averaged": torch.zeros(2)}, "is damaged: its averaging_state has no n_averaged"),
    ],
)
def test_a_damaged_average_is_refused_in_one_sentence(
    name: str, value: Any, reason: str, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = torch.load(trained, weights_only=True)
    torch.save({**content, name: value}, "damaged.ckpt")
    assert reason in error_output([*FIT, "--ckpt_path", "damaged.ckpt"], capsys)


@pytest.mark.slow
def test_two_processes_average_what_one_does(capsys: pytest.CaptureFixture[str]) -> None:
    """In double precision, because where a gradient is nearly 0, Adam turns rounding errors into full steps."""
    fit = [*FIT, "--trainer.max_epochs", "1", "--trainer.precision", "64-true"]
    ddp = ["--trainer.devices", "2", "--trainer.strategy", "ddp", "--trainer.sync_batchnorm", "true"]
    output = run_zoo(*fit, *ddp)
    assert main(fit) == 0
    capsys.readouterr()
    distributed, single = (torch.load(last_checkpoint(run), weights_only=True)["state_dict"] for run in (0, 1))
    for name, value in single.items():
        torch.testing.assert_close(distributed[name], value, rtol=1e-7, atol=1e-7)
    main(["test", "--config", "logs/fast_cnn/version_1/config.yaml", "--ckpt_path", str(last_checkpoint(0))])
    assert errors(capsys.readouterr().out) == errors(output)
