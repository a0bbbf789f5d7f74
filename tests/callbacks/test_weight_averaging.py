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
from pytorch_lightning import Callback, LightningModule, Trainer
from torch import Tensor

from tests.helpers import errors, run_zoo, weights
from zoo.cli import main
from zoo.models import CNN

DECAY = 0.9


def callback(name: str, **arguments: Any) -> list[str]:
    return ["--trainer.callbacks+", json.dumps({"class_path": name, "init_args": arguments})]


# Two epochs of ten steps, with a schedule and batch norm.
SMALL = ["--model.channels", "[[2], [4]]", "--model.hidden_sizes", "[8]"]
FIT = ["fit", "--config", "fast_cnn", "--trainer.accelerator", "cpu", "--data.num_train", "1000", *SMALL]
FIT += ["--trainer.max_epochs", "2", "--data.val_size", "200", *callback("EMAWeightAveraging", decay=DECAY)]


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
        average = {name: (DECAY * average[name] + (1 - DECAY) * value).to(value.dtype) for name, value in state.items()}
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


def test_a_checkpoint_of_averaged_weights_loads_as_any_other() -> None:
    main([*FIT, "--trainer.max_epochs", "1"])
    model = CNN.load_from_checkpoint(last_checkpoint(0)).eval()
    saved = torch.load(last_checkpoint(0), weights_only=True)
    assert all(torch.equal(value, saved["state_dict"][name]) for name, value in model.state_dict().items())
    assert any(
        not torch.equal(value, saved["state_dict"][name]) for name, value in saved["current_model_state"].items()
    )


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
