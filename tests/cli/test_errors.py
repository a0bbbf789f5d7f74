"""A user's mistake is reported in one sentence with exit status 2, and leaves no files behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import zoo
from tests.helpers import error_output, start_zoo
from zoo.cli import main
from zoo.models import MLP
from zoo.runs.checkpoint import write_weights

NO_NUMBER = json.dumps({"class_path": "EarlyStopping", "init_args": {"monitor": "val_loss", "min_delta": "a"}})
FIT = ["fit", "--config", "deep_relu_xavier", "--trainer.accelerator", "cpu"]

FIT_BATCHNORM = ["fit", "--config", "dropout_batchnorm", "--trainer.accelerator", "cpu"]
BAGGING = ["fit", "--config", "bagging", "--trainer.accelerator", "cpu", "--data.num_train", "300"]
TRAINED = ["--config", "softmax", "--ckpt_path", str(zoo.model_info("softmax").checkpoint)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fitt"], "Unknown command 'fitt': did you mean fit"),
        (["fit"], "Say what to run: --config"),
        (["fit", "--config", "deep_rely"], "did you mean deep_relu"),
        (["fit", "--model", "MLPP"], "There is no class of the name MLPP: did you mean MLP?"),
        ([*FIT, "--trainer.max_epoch", "3"], "Unknown flag --trainer.max_epoch: did you mean --trainer.max_epochs?"),
        ([*FIT, "--model.hidden_size", "[3]"], "MLP has no argument 'hidden_size': did you mean hidden_sizes?"),
        ([*FIT, "--model.activation", "rellu"], "Unknown activation 'rellu': did you mean relu"),
        ([*FIT, "--model.weight_init", "xavier"], "did you mean xavier_normal or xavier_uniform"),
        ([*FIT, "--model.hidden_sizes", "[-3]"], "hidden_sizes is [-3]"),
        ([*FIT, "--model.hidden_sizes", "abc"], "hidden_sizes: Expected a list such as"),
        ([*FIT, "--model.lr", "-1"], "lr is -1.0, but it must be a number that is more than 0"),
        ([*FIT, "--model.lr", "fast"], "lr: Expected a float. Got fast"),
        ([*FIT, "--model.hidden_sizes", "null"], "hidden_sizes is null, but it must be a value of the type Sequence"),
        ([*FIT, "--data.batch_size", "null"], "batch_size is null, but it must be a value of the type int"),
        ([*FIT, "--trainer.logger.name", "x"], "trainer.logger: pytorch_lightning.loggers.Logger is a base class"),
        (
            [*FIT, "--trainer.logger", "CSVLogger", "--trainer.logger.name", "x"],
            "trainer.logger: CSVLogger needs values for these arguments: save_dir\n",
        ),
        (
            [*FIT, "--trainer.callbacks", "Callbac"],
            "trainer.callbacks: There is no class of the name Callbac: did you mean Callback?\n",
        ),
        ([*FIT, "--data.batch_size", "0"], "batch_size is 0, but a batch holds at least 1 image"),
        ([*FIT_BATCHNORM, "--data.num_train", "201"], "would be a single one, which has no variance for batch norm"),
        ([*FIT_BATCHNORM, "--data.num_train", "201"], "set data.batch_size to 99"),
        ([*FIT_BATCHNORM, "--data.num_train", "1"], "train on more images"),
        (["test", "--config", "softmax", "--ckpt_path", "."], ". is a folder: name a checkpoint in it"),
        ([*BAGGING, "--model.member_args.lr", "0.5"], "all members are trained by the ensemble: set model.lr"),
        (
            [*BAGGING, "--model.member_args.hidden_size", "3"],
            "argument of MLP 'hidden_size': did you mean hidden_sizes?",
        ),
        (["figures", "saliency", "--picture", "x.png"], "--picture is for layers, and not for saliency"),
        (["figures", "xor", "--model", "dropout"], "--model is for weights, layers, saliency, dead_units, confusion"),
        (["figures", "weights", "--seeds", "5"], "and not for weights: leave it out"),
        (
            [*FIT_BATCHNORM, "--data.batch_size", "1", "--data.num_train", "10"],
            "set data.batch_size to 2",
        ),
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
        ([*FIT, "--trainer.default_root_dir", "/proc/x"], "Cannot use /proc/x"),
        ([*FIT, "--model.l2", ".inf"], "l2 is inf"),
        ([*FIT, "--data.subset_seed", str(2**64)], "a seed is 0 or more and at most"),
        ([*FIT, "--trainer.precision", "fp16"], "64-true, bf16 or null. Got fp16"),
        ([*FIT, "--trainer.deterministic", "x"], "trainer.deterministic: Expected true, false, warn or null. Got x"),
        ([*FIT, "--trainer.plugins", "[3]"], "3 is no Precision or ClusterEnvironment or"),
        ([*FIT, "--trainer.logger", "[3]"], "trainer.logger: 3 is no Logger: give its class_path"),
        ([*FIT, "--trainer.callbacks", "[3]"], "trainer.callbacks: 3 is no Callback: give its class_path"),
        ([*FIT, "--trainer.callbacks", NO_NUMBER], "trainer.callbacks: min_delta: Expected a float. Got a"),
        (
            ["fit", "--model", "lone.Lone", "--model.lr", "0.1"],
            "Lone has no argument 'lr'; let its __init__ take **training",
        ),
        ([*FIT, "--model.hidden_sizes", "512,512"], 'hidden_sizes: Expected a list such as "[1, 2]". Got 512,512'),
        (["predict", *TRAINED, "--indices", "8"], 'indices: Expected a list such as "[1, 2]" or null. Got 8'),
        ([*FIT, "--model.hidden_sizes"], "--model, or a flag that begins with --model., has no value"),
        (
            ["fit", "--config", "plural.yaml"],
            "no setting trainer.max_epoch in a config: did you mean trainer.max_epochs?",
        ),
        (["fit", "--model.lr", "0.1"], "Name the network"),
        (["fit", "--model", "zoo.models.Classifier"], "Name the network"),
        (["fit", "--config", "linear.yaml"], "torch.nn.Linear is no network of the zoo: derive it from"),
        (
            ["fit", "--model", "torch.nn.Linear"],
            "The class is no network of the zoo: derive it from zoo.models.Classifier",
        ),
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
        (["fit", "--config", "nested.yaml"], "has no name of a class under class_path in line 1"),
        (["fit", "--config", "checkpoint.yaml"], "checkpoint is 3, but it must be settings by name"),
        (["fit", "--config", "none.yaml"], "has no arguments by name under init_args in line 3"),
        ([*FIT, "--model.steps_per_call", "0"], "steps_per_call is 0, but it must be 1 to"),
        (["bench", "--precision", "foo"], "argument --precision: invalid choice: 'foo'"),
        (["test", "--config", "softmax"], "needs a trained network: give --ckpt_path"),
        (["predict", "--config", "softmax"], "needs a trained network: give --ckpt_path"),
        (["list", "--foo"], "Unknown flag --foo; `zoo list --help`"),
    ],
)
def test_user_mistakes_are_reported_in_one_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("a file, not a folder")
    Path("broken.yaml").write_text("{{{: no\n - [yaml")
    Path("lone.py").write_text(
        "from zoo.models import Classifier\n\nclass Lone(Classifier):\n    def __init__(self): super().__init__()\n"
        "    def forward(self, images): return images.flatten(1)[:, :10]\n"
    )
    Path("plural.yaml").write_text("model: {class_path: MLP}\ntrainer: {max_epoch: 15}\n")
    Path("word.yaml").write_text("just a word")
    Path("twice.yaml").write_text("model:\n  class_path: MLP\n  init_args:\n    lr: 0.1\n    lr: 0.2\n")
    Path("none.yaml").write_text("model:\n  class_path: MLP\n  init_args:\ndata: MNISTDataModule\n")
    Path("nested.yaml").write_text("model: {class_path: {class_path: MLP}}")
    Path("checkpoint.yaml").write_text("checkpoint: 3\nmodel: {class_path: MLP}")
    Path("list.yaml").write_text("trainer: []\nmodel: {class_path: MLP}")
    Path("linear.yaml").write_text("model: {class_path: torch.nn.Linear, init_args: {in_features: 3, out_features: 2}}")
    assert message in error_output(arguments, capsys)


class MaliciousObject:
    """An object that runs a command when it is unpickled, as a malicious checkpoint may contain."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (eval, ("open('evil-was-here', 'w')",))


def write_invalid_checkpoints() -> None:
    """Write one valid checkpoint and damaged, mismatched and malicious copies of it."""
    model = MLP([256, 256], weight_init="xavier_uniform", bias_init="normal")
    arguments = dict(model.hparams)
    write_weights(model, arguments, Path("good.ckpt"))
    valid = Path("good.ckpt").read_bytes()
    Path("truncated.ckpt").write_bytes(valid[: len(valid) // 2])
    Path("noise.ckpt").write_bytes(b"no checkpoint at all")
    Path("empty.ckpt").write_bytes(b"")
    content = torch.load("good.ckpt", weights_only=True)
    torch.save({**content, "extra": MaliciousObject()}, "code.ckpt")
    renamed_class = {**content["hyper_parameters"], "_class_path": "evil_module.Network"}
    torch.save({**content, "hyper_parameters": renamed_class}, "class_path.ckpt")
    Path("evil_module.py").write_text("open('evil-was-here', 'w')")
    torch.save({"weights": torch.zeros(3)}, "strange.ckpt")
    torch.save(torch.zeros(3), "tensor.ckpt")
    state = {**content["state_dict"], "net.1.weight": torch.zeros(3, 3)}
    torch.save({**content, "state_dict": state}, "shapes.ckpt")
    non_finite = {**content["state_dict"], "net.1.bias": torch.full((256,), float("nan"))}
    torch.save({**content, "state_dict": non_finite}, "nan.ckpt")
    wrong_dtype = {**content["state_dict"], "net.1.bias": torch.zeros(256, dtype=torch.int64)}
    torch.save({**content, "state_dict": wrong_dtype}, "dtype.ckpt")
    flipped = bytearray(valid)
    flipped[len(valid) // 2] ^= 1
    Path("flipped.ckpt").write_bytes(flipped)


@pytest.mark.parametrize(
    ("config", "checkpoint", "message"),
    [
        ("deep_relu_xavier", "missing.ckpt", "There is no checkpoint missing.ckpt"),
        ("deep_relu_xavier", "https://example.com/a.ckpt", "is a URL"),
        ("deep_relu_xavier", ".", ". is a folder"),
        ("deep_relu_xavier", "truncated.ckpt", "truncated.ckpt is damaged"),
        ("deep_relu_xavier", "noise.ckpt", "noise.ckpt is"),
        ("deep_relu_xavier", "empty.ckpt", "empty.ckpt is damaged"),
        ("deep_relu_xavier", "strange.ckpt", "holds no network"),
        ("deep_relu_xavier", "tensor.ckpt", "holds no network"),
        ("deep_relu_xavier", "shapes.ckpt", "is of another architecture"),
        ("deep_relu_xavier", "nan.ckpt", "numbers that are not finite (net.1.bias)"),
        ("deep_relu_xavier", "dtype.ckpt", "net.1.bias is int64 (256,) in the file and real (256,) in the network"),
        ("deep_relu_xavier", "flipped.ckpt", "flipped.ckpt is damaged"),
        ("deep_relu_xavier", "code.ckpt", "code.ckpt is refused"),
        ("deep_relu_xavier", "class_path.ckpt", "holds an evil_module.Network"),
        ("softmax", "good.ckpt", "holds a zoo.models.mlp.MLP"),
        ("deeper_relu_xavier", "good.ckpt", "was trained with hidden_sizes [256, 256]"),
        ("deep_relu", "good.ckpt", "was trained with weight_init 'xavier_uniform'"),
    ],
)
def test_invalid_checkpoints_are_rejected_by_test_and_fit(
    config: str,
    checkpoint: str,
    message: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write_invalid_checkpoints()
    monkeypatch.syspath_prepend(".")
    arguments = ["--config", config, "--ckpt_path", checkpoint, "--trainer.accelerator", "cpu"]
    assert message in error_output(["test", *arguments], capsys)
    error_output(["fit", *arguments], capsys)


@pytest.mark.parametrize("changed", [{"unknown": 3}, {"num_classes": "x"}])
def test_checkpoint_with_invalid_arguments_is_rejected(
    changed: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    info = zoo.model_info("softmax")
    content = torch.load(info.checkpoint, weights_only=True)
    torch.save({**content, "hyper_parameters": {**content["hyper_parameters"], **changed}}, "altered.ckpt")
    Image.new("L", (28, 28), 255).save("blank.png")
    assert "SoftmaxRegression does not take" in error_output(
        ["classify", "blank.png", "--model", "altered.ckpt"], capsys
    )


def test_pipes_and_devices_are_rejected_without_being_opened(capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo("pipe.png")
    Path("device.png").symlink_to("/dev/zero")
    for kind in ("pipe", "device"):
        message = error_output(["classify", f"{kind}.png", "--model", "softmax"], capsys)
        assert f"{kind}.png is a {kind}: name a file" in message


@pytest.mark.slow
def test_fit_works_with_closed_stderr() -> None:
    arguments = ["-m", "zoo", "fit", "--config", "softmax", "--data.num_train", "200", "--trainer.max_epochs", "1"]
    completed = subprocess.run(
        [sys.executable, *arguments], stdout=subprocess.PIPE, preexec_fn=lambda: os.close(2), text=True
    )
    assert completed.returncode == 0
    assert "Test set:" in completed.stdout


def test_list_works_with_ascii_output_and_reports_a_full_disk() -> None:
    process = start_zoo("list", PYTHONIOENCODING="ascii")
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    assert "dropout_batchnorm" in output
    with Path("/dev/full").open("w", encoding="utf-8") as full:
        completed = subprocess.run(
            [sys.executable, "-m", "zoo", "list"], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert completed.returncode == 2
    assert completed.stderr == "zoo: The disk is full: make room on it, or name a place on another one.\n"


def test_fit_cannot_resume_from_a_weights_only_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    write_invalid_checkpoints()
    assert "holds weights only" in error_output([*FIT, "--ckpt_path", "good.ckpt"], capsys)


def test_predict_rejects_an_index_or_count_out_of_range(capsys: pytest.CaptureFixture[str]) -> None:
    write_invalid_checkpoints()
    arguments = ["--config", "deep_relu_xavier", "--ckpt_path", "good.ckpt", "--trainer.accelerator", "cpu"]
    assert "images are numbered 0 to 9999" in error_output(["predict", *arguments, "--indices", "[10000]"], capsys)
    assert "count is 0" in error_output(["predict", *arguments, "--count", "0"], capsys)


def train_briefly(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Train softmax for one epoch on 500 images and return the checkpoint's content."""
    short = ["--data.num_train", "500", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]
    assert main(["fit", "--config", "softmax", *short]) == 0
    capsys.readouterr()
    content: dict[str, Any] = torch.load("logs/softmax/version_0/checkpoints/last.ckpt", weights_only=True)
    return content


RESUME = ["fit", "--config", "softmax", "--data.num_train", "500", "--trainer.accelerator", "cpu"]


def test_resuming_from_a_malicious_checkpoint_deletes_no_files(capsys: pytest.CaptureFixture[str]) -> None:
    content = train_briefly(capsys)
    Path("victim.txt").write_text("precious")
    folder = Path("logs/softmax/version_1/checkpoints").absolute()
    (key,) = (name for name in content["callbacks"] if "Checkpoint" in name)
    state = content["callbacks"][key]
    best_models = {f"{folder}/../../../../victim.txt": torch.tensor(float(n)) for n in range(2)}
    state |= {"dirpath": str(folder), "best_k_models": best_models, "kth_best_model_path": next(iter(best_models))}
    state |= {"best_model_path": "victim.txt", "last_model_path": f"{folder}/../../../../victim.txt"}
    torch.save(content, "hostile.ckpt")
    assert main([*RESUME, "--trainer.max_epochs", "3", "--ckpt_path", "hostile.ckpt"]) == 0
    assert Path("victim.txt").read_text() == "precious"


def test_resuming_a_finished_run_reports_that_nothing_was_trained(capsys: pytest.CaptureFixture[str]) -> None:
    train_briefly(capsys)
    before = sorted(Path("logs").rglob("*"))
    assert main([*RESUME, "--trainer.max_epochs", "1", "--ckpt_path", "last"]) == 0
    assert "Nothing was trained" in capsys.readouterr().out
    assert sorted(Path("logs").rglob("*")) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"loops": 3}, "its loops is no dict"),
        ({"callbacks": []}, "its callbacks is no dict"),
        ({"pytorch-lightning_version": None}, "its pytorch-lightning_version is no str"),
        ({"optimizer_states": "x"}, "its optimizer_states is no list"),
    ],
)
def test_training_state_of_the_wrong_type_is_rejected(
    change: dict[str, Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({**train_briefly(capsys), **change}, "strange.ckpt")
    assert message in error_output([*RESUME, "--trainer.max_epochs", "3", "--ckpt_path", "strange.ckpt"], capsys)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("exp_avg", torch.zeros(3)),
        ("exp_avg", torch.zeros(784, 10).t()),  # of the same shape, but a kernel takes the elements in another order
        ("step", torch.zeros(2)),
    ],
)
@pytest.mark.parametrize("has_resume_state", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_optimizer_state_of_the_wrong_shape_is_rejected(
    name: str, value: torch.Tensor, has_resume_state: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    content = train_briefly(capsys)
    content["optimizer_states"][0]["state"][0][name] = value
    if not has_resume_state:
        del content["callbacks"]["ExactResume"]
    torch.save(content, "small.ckpt")
    command = [*RESUME, "--trainer.max_epochs", "3", "--ckpt_path", "small.ckpt"]
    assert f"{name} is {tuple(value.shape)} for a parameter of (10, 784)" in error_output(command, capsys)


def test_missing_rng_state_is_reported_and_damaged_rng_state_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    content = train_briefly(capsys)
    state = content["callbacks"].pop("ExactResume")
    torch.save(content, "bare.ckpt")
    assert main([*RESUME, "--trainer.max_epochs", "2", "--ckpt_path", "bare.ckpt"]) == 0
    assert "The checkpoint holds no RNG state" in capsys.readouterr().err
    state["processes"][0]["torch"] = 3
    content["callbacks"]["ExactResume"] = state
    torch.save(content, "odd.ckpt")
    command = [*RESUME, "--trainer.max_epochs", "2", "--ckpt_path", "odd.ckpt"]
    assert "RNG state is damaged" in error_output(command, capsys)


def test_checkpoint_with_a_tensor_argument_is_rejected(capsys: pytest.CaptureFixture[str]) -> None:
    content = train_briefly(capsys)
    content["hyper_parameters"]["lr"] = torch.zeros(2)
    torch.save(content, "tensor.ckpt")
    assert "arguments are plain values" in error_output(["test", *TRAINED[:2], "--ckpt_path", "tensor.ckpt"], capsys)
