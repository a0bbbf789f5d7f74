"""A user's mistake ends with one sentence and exit status 2, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import zoo
from tests.helpers import complaint, start_zoo
from zoo.cli import main
from zoo.models import MLP
from zoo.runs.checkpoint import write_weights

FIT = ["fit", "--config", "deep_relu_xavier", "--trainer.accelerator", "cpu"]

NORMED = ["fit", "--config", "dropout_batchnorm", "--trainer.accelerator", "cpu"]
TRAINED = ["--config", "softmax", "--ckpt_path", str(zoo.model_info("softmax").checkpoint)]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fitt"], "Unknown command 'fitt': did you mean fit"),
        (["fit"], "Say what to run: --config"),
        (["fit", "--config", "deep_rely"], "did you mean deep_relu"),
        (["fit", "--model", "MLPP"], "There is no class of the name MLPP"),
        ([*FIT, "--trainer.max_epoch", "3"], "Unknown flag --trainer.max_epoch: did you mean --trainer.max_epochs?"),
        ([*FIT, "--model.hidden_size", "[3]"], "MLP has no argument 'hidden_size': did you mean hidden_sizes?"),
        ([*FIT, "--model.activation", "rellu"], "Unknown activation 'rellu': did you mean relu"),
        ([*FIT, "--model.weight_init", "xavier"], "did you mean xavier_normal or xavier_uniform"),
        ([*FIT, "--model.hidden_sizes", "[-3]"], "hidden_sizes is [-3]"),
        ([*FIT, "--model.hidden_sizes", "abc"], "hidden_sizes: Expected a Sequence. Got abc"),
        ([*FIT, "--model.lr", "-1"], "lr is -1.0, but it must be a number that is more than 0"),
        ([*FIT, "--model.lr", "fast"], "lr: Expected a float. Got fast"),
        ([*FIT, "--model.hidden_sizes", "null"], "hidden_sizes is null, but it must be a value of the type Sequence"),
        ([*FIT, "--data.batch_size", "null"], "batch_size is null, but it must be a value of the type int"),
        ([*FIT, "--trainer.logger.name", "x"], "trainer.logger: pytorch_lightning.loggers.Logger is a base class"),
        (
            [*FIT, "--trainer.logger", "CSVLogger", "--trainer.logger.name", "x"],
            "trainer.logger: CSVLogger needs values for these arguments: save_dir\n",
        ),
        ([*FIT, "--trainer.callbacks", "Callbac"], "trainer.callbacks: There is no class of the name Callbac\n"),
        ([*FIT, "--data.batch_size", "0"], "batch_size is 0, but a batch holds at least 1 image"),
        ([*NORMED, "--data.num_train", "201"], "The last batch of 201 images would be a single one"),
        ([*NORMED, "--data.batch_size", "1", "--data.num_train", "10"], "set data.batch_size to something else than 1"),
        ([*FIT, "--data.val_size", "60000"], "val_size is 60000"),
        ([*FIT, "--data.data_dir", "file/below"], "Cannot read file/below"),
        ([*FIT, "--data.class_path", "os.system"], "os.system"),
        ([*FIT, "--seed_everything", "-5"], "seed_everything is -5"),
        ([*FIT, "--trainer.max_epochs", "-5"], "max_epochs"),
        ([*FIT, "--trainer.devices", "0"], "devices"),
        ([*FIT, "--trainer.max_epochs", "0"], "trainer.max_epochs is 0, which leaves nothing to train"),
        ([*FIT, "--trainer.devices", "x"], "should be an int > 0"),
        ([*FIT, "--trainer.accelerator", "foo"], "invalid accelerator name"),
        ([*FIT, "--trainer.accelerator", "gpu"], "There is no GPU here"),
        ([*FIT, "--trainer.strategy", "foo"], "invalid strategy name"),
        ([*FIT, "--trainer.num_nodes", "2"], "started by torchrun or srun"),
        ([*FIT, "--trainer.devices", "3", "--trainer.strategy", "ddp"], "choose 99 or 102"),
        ([*FIT, "--trainer.precision", "16-true"], "choose 32-true, bf16-mixed or 16-mixed"),
        ([*FIT, "--trainer.accumulate_grad_batches", "0"], "trainer.accumulate_grad_batches is 0"),
        ([*FIT, "--trainer.val_check_interval", "100000"], "must be less than or equal to the number of the training"),
        ([*FIT, "--trainer.default_root_dir", "file"], "Cannot use "),
        ([*FIT, "--model.l2", ".inf"], "l2 is inf"),
        ([*FIT, "--data.subset_seed", str(2**64)], "a seed is 0 or more and at most"),
        (["fit", "--model.lr", "0.1"], "Name the network"),
        (["fit", "--model", "zoo.models.Classifier"], "Name the network"),
        (["fit", "--config", "linear.yaml"], "torch.nn.Linear does not correspond to a subclass of ZooModule"),
        (["validate", *TRAINED, "--data.val_size", "0"], "there are no validation images"),
        (["test", *TRAINED, "--trainer.limit_test_batches", "0"], "leaves nothing to test"),
        (["info", "sofmax"], "did you mean softmax"),
        (["reproduce", "softmax", "--seeds", "0"], "at least 1 run is needed"),
        ([*FIT, "extra"], "extra"),
        (["fit", "--config"], "expected one argument"),
        (["fit", "--config", "."], "The config . cannot be read"),
        (["fit", "--config", "broken.yaml"], "The config broken.yaml cannot be read as YAML"),
        (["fit", "--config", "word.yaml"], "The config word.yaml is no config"),
        (["fit", "--config", "list.yaml"], "trainer is [], but it must be settings by name"),
        (["fit", "--config", "twice.yaml"], "The config twice.yaml has lr again in line 5: keep one of them"),
        (["fit", "--config", "none.yaml"], "has no arguments by name under init_args in line 3"),
        ([*FIT, "--model.steps_per_call", "0"], "steps_per_call is 0, but it must be 1 to"),
        (["bench", "--precision", "foo"], "argument --precision: invalid choice: 'foo'"),
        (["test", "--config", "softmax"], "needs a trained network: give --ckpt_path"),
        (["predict", "--config", "softmax"], "needs a trained network: give --ckpt_path"),
        (["list", "--foo"], "unrecognized arguments: --foo"),
    ],
)
def test_mistakes(arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("in the way of a folder")
    Path("broken.yaml").write_text("{{{: no\n - [yaml")
    Path("word.yaml").write_text("just a word")
    Path("twice.yaml").write_text("model:\n  class_path: MLP\n  init_args:\n    lr: 0.1\n    lr: 0.2\n")
    Path("none.yaml").write_text("model:\n  class_path: MLP\n  init_args:\ndata: MNISTDataModule\n")
    Path("list.yaml").write_text("trainer: []\nmodel: {class_path: MLP}")
    Path("linear.yaml").write_text("model: {class_path: torch.nn.Linear, init_args: {in_features: 3, out_features: 2}}")
    assert sentence in complaint(arguments, capsys)


class Evil:
    """What a hostile checkpoint may hold: an object whose unpickling runs a command."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("open('evil-was-here', 'w')",))


def write_hostile_files() -> None:
    model = MLP([256, 256], weight_init="xavier_uniform", bias_init="normal")
    arguments = dict(model.hparams)
    write_weights(model, arguments, Path("good.ckpt"))
    whole = Path("good.ckpt").read_bytes()
    Path("truncated.ckpt").write_bytes(whole[: len(whole) // 2])
    Path("noise.ckpt").write_bytes(b"no checkpoint at all")
    Path("empty.ckpt").write_bytes(b"")
    content = torch.load("good.ckpt", weights_only=True)
    torch.save({**content, "extra": Evil()}, "code.ckpt")
    named = {**content["hyper_parameters"], "_class_path": "evil_module.Network"}
    torch.save({**content, "hyper_parameters": named}, "class_path.ckpt")
    Path("evil_module.py").write_text("open('evil-was-here', 'w')")
    torch.save({"weights": torch.zeros(3)}, "strange.ckpt")
    torch.save(torch.zeros(3), "tensor.ckpt")
    state = {**content["state_dict"], "net.1.weight": torch.zeros(3, 3)}
    torch.save({**content, "state_dict": state}, "shapes.ckpt")
    broken = {**content["state_dict"], "net.1.bias": torch.full((256,), float("nan"))}
    torch.save({**content, "state_dict": broken}, "nan.ckpt")
    kinds = {**content["state_dict"], "net.1.bias": torch.zeros(256, dtype=torch.int64)}
    torch.save({**content, "state_dict": kinds}, "kinds.ckpt")
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    Path("flipped.ckpt").write_bytes(flipped)


@pytest.mark.parametrize(
    ("config", "checkpoint", "sentence"),
    [
        ("deep_relu_xavier", "missing.ckpt", "There is no checkpoint missing.ckpt"),
        ("deep_relu_xavier", "https://example.com/a.ckpt", "is a URL"),
        ("deep_relu_xavier", ".", "There is no checkpoint ."),
        ("deep_relu_xavier", "truncated.ckpt", "truncated.ckpt is damaged"),
        ("deep_relu_xavier", "noise.ckpt", "noise.ckpt is"),
        ("deep_relu_xavier", "empty.ckpt", "empty.ckpt is damaged"),
        ("deep_relu_xavier", "strange.ckpt", "holds no network"),
        ("deep_relu_xavier", "tensor.ckpt", "holds no network"),
        ("deep_relu_xavier", "shapes.ckpt", "is of another architecture"),
        ("deep_relu_xavier", "nan.ckpt", "numbers that are not finite (net.1.bias)"),
        ("deep_relu_xavier", "kinds.ckpt", "net.1.bias is int64 (256,) in the file and real (256,) in the network"),
        ("deep_relu_xavier", "flipped.ckpt", "flipped.ckpt is damaged"),
        ("deep_relu_xavier", "code.ckpt", "code.ckpt is refused"),
        ("deep_relu_xavier", "class_path.ckpt", "holds a evil_module.Network"),
        ("softmax", "good.ckpt", "holds a zoo.models.mlp.MLP"),
        ("deeper_relu_xavier", "good.ckpt", "was trained with hidden_sizes [256, 256]"),
        ("deep_relu", "good.ckpt", "was trained with weight_init 'xavier_uniform'"),
    ],
)
def test_checkpoints_that_must_not_run(
    config: str,
    checkpoint: str,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_hostile_files()
    monkeypatch.syspath_prepend(".")
    arguments = ["--config", config, "--ckpt_path", checkpoint, "--trainer.accelerator", "cpu"]
    assert sentence in complaint(["test", *arguments], capsys)
    complaint(["fit", *arguments], capsys)


@pytest.mark.parametrize("altered", [{"unknown": 3}, {"num_classes": "x"}])
def test_a_checkpoint_whose_arguments_do_not_suit_is_refused(
    altered: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    info = zoo.model_info("softmax")
    content = torch.load(info.checkpoint, weights_only=True)
    torch.save({**content, "hyper_parameters": {**content["hyper_parameters"], **altered}}, "altered.ckpt")
    Image.new("L", (28, 28), 255).save("blank.png")
    assert "SoftmaxRegression does not take" in complaint(["classify", "blank.png", "--model", "altered.ckpt"], capsys)


def test_a_pipe_is_not_waited_for(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe.png")
    assert "pipe.png is a pipe: name a file" in complaint(["classify", "pipe.png", "--model", "softmax"], capsys)


def test_a_training_needs_no_standard_error() -> None:
    words = ["-m", "zoo", "fit", "--config", "softmax", "--data.num_train", "200", "--trainer.max_epochs", "1"]
    ended = subprocess.run([sys.executable, *words], stdout=subprocess.PIPE, preexec_fn=lambda: os.close(2), text=True)
    assert ended.returncode == 0
    assert "Test set:" in ended.stdout


def test_a_terminal_without_the_characters_and_a_full_disk() -> None:
    process = start_zoo("list", PYTHONIOENCODING="ascii")
    listed, said = process.communicate()
    assert process.returncode == 0, said
    assert "dropout_batchnorm" in listed
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        ended = subprocess.run([sys.executable, "-m", "zoo", "list"], stdout=full, stderr=subprocess.PIPE, text=True)
    assert ended.returncode == 2
    assert ended.stderr == "zoo: The disk is full: make room on it, or name a place on another one.\n"


def test_training_cannot_go_on_from_weights_alone(capsys: pytest.CaptureFixture[str]) -> None:
    write_hostile_files()
    assert "holds weights only" in complaint([*FIT, "--ckpt_path", "good.ckpt"], capsys)


def test_an_index_of_no_image_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    write_hostile_files()
    arguments = ["--config", "deep_relu_xavier", "--ckpt_path", "good.ckpt", "--trainer.accelerator", "cpu"]
    assert "images are numbered 0 to 9999" in complaint(["predict", *arguments, "--indices", "[10000]"], capsys)
    assert "count is 0" in complaint(["predict", *arguments, "--count", "0"], capsys)


def a_run(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Train for a moment and return the checkpoint's content."""
    short = ["--data.num_train", "500", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    assert main(["fit", "--config", "softmax", *short]) == 0
    capsys.readouterr()
    content: dict[str, Any] = torch.load("logs/softmax/version_0/checkpoints/last.ckpt", weights_only=True)
    return content


RESUME = ["fit", "--config", "softmax", "--data.num_train", "500", "--trainer.accelerator", "cpu"]


def test_a_checkpoint_cannot_have_files_deleted(capsys: pytest.CaptureFixture[str]) -> None:
    content = a_run(capsys)
    Path("victim.txt").write_text("precious")
    folder = Path("logs/softmax/version_1/checkpoints").absolute()
    (key,) = (name for name in content["callbacks"] if "Checkpoint" in name)
    state = content["callbacks"][key]
    victims = {f"{folder}/../../../../victim.txt": torch.tensor(float(n)) for n in range(2)}
    state |= {"dirpath": str(folder), "best_k_models": victims, "kth_best_model_path": next(iter(victims))}
    state |= {"best_model_path": "victim.txt", "last_model_path": f"{folder}/../../../../victim.txt"}
    torch.save(content, "hostile.ckpt")
    assert main([*RESUME, "--trainer.max_epochs", "3", "--ckpt_path", "hostile.ckpt"]) == 0
    assert Path("victim.txt").read_text() == "precious"


def test_a_finished_run_says_that_there_is_nothing_left(capsys: pytest.CaptureFixture[str]) -> None:
    a_run(capsys)
    assert main([*RESUME, "--trainer.max_epochs", "1", "--ckpt_path", "last"]) == 0
    assert "Nothing was trained" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"loops": 3}, "its loops is no dict"),
        ({"callbacks": []}, "its callbacks is no dict"),
        ({"pytorch-lightning_version": None}, "its pytorch-lightning_version is no str"),
        ({"optimizer_states": "x"}, "its optimizer_states is no list"),
    ],
)
def test_a_training_state_of_a_strange_form_is_refused(
    change: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({**a_run(capsys), **change}, "strange.ckpt")
    assert sentence in complaint([*RESUME, "--trainer.max_epochs", "3", "--ckpt_path", "strange.ckpt"], capsys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exp_avg", torch.zeros(3)),
        ("exp_avg", torch.zeros(1).expand(10, 784)),  # the right shape over four bytes of memory
        ("step", torch.zeros(2)),
    ],
)
@pytest.mark.parametrize("record", [True, False])
def test_an_optimizer_state_of_another_form_never_reaches_the_kernel(
    name: str, value: torch.Tensor, record: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    content = a_run(capsys)
    content["optimizer_states"][0]["state"][0][name] = value
    if not record:
        del content["callbacks"]["ExactResume"]
    torch.save(content, "small.ckpt")
    command = [*RESUME, "--trainer.max_epochs", "3", "--ckpt_path", "small.ckpt"]
    assert f"{name} is {tuple(value.shape)} for a parameter of (10, 784)" in complaint(command, capsys)


def test_a_checkpoint_without_generators_says_what_that_means(capsys: pytest.CaptureFixture[str]) -> None:
    content = a_run(capsys)
    state = content["callbacks"].pop("ExactResume")
    torch.save(content, "bare.ckpt")
    assert main([*RESUME, "--trainer.max_epochs", "2", "--ckpt_path", "bare.ckpt"]) == 0
    assert "The checkpoint holds no generators" in capsys.readouterr().err
    state["processes"][0]["torch"] = 3
    content["callbacks"]["ExactResume"] = state
    torch.save(content, "odd.ckpt")
    command = [*RESUME, "--trainer.max_epochs", "2", "--ckpt_path", "odd.ckpt"]
    assert "generators are damaged" in complaint(command, capsys)


def test_arguments_that_are_no_plain_values_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    content = a_run(capsys)
    content["hyper_parameters"]["lr"] = torch.zeros(2)
    torch.save(content, "tensor.ckpt")
    assert "arguments are plain values" in complaint(["test", *TRAINED[:2], "--ckpt_path", "tensor.ckpt"], capsys)
