"""``zoo.fit`` and the run that it returns."""

from __future__ import annotations

import gc
import logging
import os
import random
import signal
import threading
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from zoo.api.settings import _full_name
from zoo.cli import main
from zoo.runs.checkpoint import read_checkpoint
from zoo.utils.denormals import flushes_denormals

SHORT: dict[str, Any] = {"num_train": 400, "max_epochs": 2, "accelerator": "cpu"}


def fit(**settings: Any) -> zoo.TrainingRun:
    return zoo.fit("softmax", progress=False, **{**SHORT, **settings})


def test_a_run_is_that_of_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    run = zoo.fit("softmax", seed=3, lr=0.01, batch_size=50, **SHORT)
    lines = capsys.readouterr().out.splitlines()
    assert [line[:10] for line in lines] == ["Epoch 1/2 ", "Epoch 2/2 "]
    flags = ["--seed_everything", "3", "--model.lr", "0.01", "--data.batch_size", "50", "--data.num_train", "400"]
    flags += ["--trainer.max_epochs", "2", "--trainer.accelerator", "cpu"]
    assert main(["fit", "--config", "softmax", *flags]) == 0
    assert run.folder == Path("logs/softmax/version_0").absolute()
    assert run.checkpoint is not None
    by_command = read_checkpoint(Path("logs/softmax/version_1/checkpoints/last.ckpt")).state_dict
    for name, value in run.model.state_dict().items():
        torch.testing.assert_close(value, by_command[name], rtol=0, atol=0)
    assert run.config["model"]["init_args"]["lr"] == 0.01
    assert f"{run.metrics['test_errors']:,.0f} errors" in capsys.readouterr().out
    assert run.test() == {name: value for name, value in run.metrics.items() if name.startswith("test_")}
    assert capsys.readouterr().out == ""
    assert not run.model.training
    with torch.no_grad():
        assert run.model(torch.zeros(1, 1, 28, 28)).shape == (1, 10)


def test_a_run_shows_its_history_and_its_curves(tmp_path: Path) -> None:
    run, other = fit(), fit(lr=0.1)
    assert run.history.columns == ["epoch", "train_loss", "train_acc", "val_loss", "val_acc"]
    assert run.history["epoch"] == [1, 2]
    assert run.history[-1]["val_acc"] == pytest.approx(run.metrics["val_acc"], rel=1e-6)
    assert repr(run.history).splitlines()[0].split() == run.history.columns
    assert run.history._repr_html_().count("<tr>") == 3
    assert "errors" in repr(run)
    assert "<table>" in run._repr_html_()
    path = run.plot(other).save(tmp_path / "curves.png")
    run.plot(other).save(path)  # a picture of the zoo may be replaced
    with Image.open(path) as picture:
        assert picture.size[0] > 400
    assert run.plot()._repr_png_().startswith(b"\x89PNG")


def test_a_training_goes_on() -> None:
    run = fit(max_epochs=1)
    longer = fit(resume="last")
    assert longer.history["epoch"] == [1, 2]
    whole = fit()
    for name, value in longer.model.state_dict().items():
        torch.testing.assert_close(value, whole.model.state_dict()[name], rtol=0, atol=0)
    assert run.folder != longer.folder != whole.folder


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"lrr": 1}, "Unknown setting 'lrr': did you mean lr"),
        ({"model": {"lrr": 1}}, r"Unknown setting 'model\.lrr': did you mean model\.lr"),
        ({"model": 3}, "give a dictionary of them"),
        ({"lr": "x"}, "Expected a float"),
        ({"epochs": 1}, "did you mean max_epochs"),
        ({"seed_everything": 1}, "did you mean seed"),
        ({"verbose": False}, "did you mean progress"),
        ({"lr": object()}, "lr has an object, but a setting is a number"),
        ({"lr": -1.0}, "lr"),
        ({"fast_dev_run": True}, "leaves nothing behind"),
        ({"resume": "nothing.ckpt"}, "There is no checkpoint nothing.ckpt"),
    ],
)
def test_mistakes_are_told_in_a_sentence(settings: dict[str, Any], sentence: str) -> None:
    with pytest.raises(zoo.UsageError, match=sentence):
        fit(**settings)
    with pytest.raises(zoo.UsageError, match="did you mean softmax"):
        zoo.fit("sofmax")
    network: Any = zoo.create_model("softmax")
    with pytest.raises(zoo.UsageError, match="the path of a config, and not a SoftmaxRegression"):
        zoo.fit(network)
    with pytest.raises(zoo.UsageError, match=r"a run of zoo\.fit, and not a SoftmaxRegression"):
        zoo.create_committee([network])
    with pytest.raises(zoo.UsageError, match="One picture is read at a time, and not a list"):
        zoo.classify(["a.png"], "softmax")


def test_a_setting_of_two_parts_needs_its_part() -> None:
    with pytest.raises(zoo.UsageError, match=r"seed is data\.seed and trainer\.seed: say which"):
        _full_name("seed", ["data.seed", "trainer.seed"])
    assert fit(data={"num_train": 300}, trainer={"max_epochs": 1}).config["data"]["init_args"]["num_train"] == 300


@pytest.mark.slow
def test_eight_trainings_leave_nothing_behind() -> None:
    fit(max_epochs=1)  # what is imported and made once stays
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    before = _state()
    models = []
    for seed in range(8):
        run = fit(max_epochs=1, seed=seed)
        models.append(weakref.ref(run.model))
    del run
    gc.collect()
    assert [model() for model in models] == [None] * 8
    assert _state() == before


def test_ctrl_c_is_one_traceback_that_says_how_to_go_on_and_keeps_nothing() -> None:
    stop = {"class_path": "tests.helpers.SignalAt", "init_args": {"step": 6, "signal": int(signal.SIGINT)}}
    before = _networks()
    with pytest.raises(KeyboardInterrupt, match='The same call with resume="last" goes on') as stopped:
        fit(trainer={"callbacks": [stop]})
    assert stopped.value.__cause__ is None
    assert stopped.value.__context__ is None
    assert _networks() == before
    assert fit(resume="last").history["epoch"] == [1, 2]


def test_a_training_in_single_precision_leaves_the_settings_of_a_program_as_they_were() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        before = _state()
        run = fit(max_epochs=1, lr=0.01)
        assert _state() == before
        assert run.model.parameter_dtype == torch.float32
        assert torch.get_default_dtype() == torch.float64
        with pytest.raises(zoo.UsageError, match="Unknown setting"):
            fit(learning_speed=1)
        assert _state() == before
        assert zoo.load_pretrained("softmax").parameter_dtype == torch.float32
    finally:
        torch.set_default_dtype(torch.float32)


def test_sigterm_ends_a_program_and_what_it_catches_is_not_ctrl_c(capsys: pytest.CaptureFixture[str]) -> None:
    stop = {"class_path": "tests.helpers.SignalAt", "init_args": {"step": 6, "signal": int(signal.SIGTERM)}}
    with pytest.raises(SystemExit) as stopped:
        fit(trainer={"callbacks": [stop]})
    assert stopped.value.code == 143
    assert 'The same call with resume="last" goes on' in capsys.readouterr().err


def test_a_run_is_found_from_another_folder_and_settings_may_be_numpy_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = fit(max_epochs=np.int64(1), lr=np.float32(0.5), data_dir=Path(zoo.__file__).parent / "data" / "archives")
    assert run.config["model"]["init_args"]["lr"] == 0.5
    monkeypatch.chdir(tmp_path.parent)
    assert run.history["epoch"] == [1]
    assert run.test()["test_errors"] == run.metrics["test_errors"]


def test_logs_that_were_not_written_are_said_to_be_missing() -> None:
    with pytest.raises(zoo.UsageError, match="made without a CSVLogger"):
        fit(max_epochs=1, logger=False).history  # noqa: B018


def _networks() -> int:
    gc.collect()
    return sum(type(each).__name__ == "SoftmaxRegression" for each in gc.get_objects())


def _state() -> dict[str, Any]:
    descriptors = Path("/proc/self/fd")
    return {
        "random": (random.getstate(), str(np.random.get_state()), torch.get_rng_state().tolist()),
        "environment": dict(os.environ),
        "handlers": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "threads": threading.active_count(),
        "descriptors": len(list(descriptors.iterdir())) if descriptors.is_dir() else 0,
        "denormals": flushes_denormals(),
        "filters of warnings": list(warnings.filters),
        "filters of logs": [len(each.filters) for each in logging.getLogger("pytorch_lightning").handlers],
        "folder": os.getcwd(),
        "grad": torch.is_grad_enabled(),
        "matmul": torch.get_float32_matmul_precision(),
        "threads of torch": torch.get_num_threads(),
    }


@pytest.mark.slow
def test_trainings_in_threads_do_not_disturb_each_other() -> None:
    folder = Path.cwd()
    alone = [fit(max_epochs=1, seed=seed).model.state_dict() for seed in (0, 1)]
    found: dict[int, zoo.TrainingRun] = {}
    threads = [
        threading.Thread(target=lambda seed=seed: found.update({seed: fit(max_epochs=1, seed=seed)})) for seed in (0, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert Path.cwd() == folder
    for seed in (0, 1):
        assert found[seed].folder.parent == folder / "logs" / "softmax"
        for name, value in found[seed].model.state_dict().items():
            torch.testing.assert_close(value, alone[seed][name], rtol=0, atol=0)
