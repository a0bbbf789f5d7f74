"""Names and paths of every kind, wherever a command takes one: used, or refused in a sentence, and shown escaped."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.helpers import error_output
from zoo.cli import main
from zoo.runs.checkpoint import write_weights
from zoo.utils.printable import printable

SHORT = [
    "--data.num_train",
    "100",
    "--data.val_size",
    "100",
    "--trainer.max_epochs",
    "1",
    "--trainer.accelerator",
    "cpu",
]
FIT = ["fit", "--config", "softmax", *SHORT]
EVALUATE = ["--config", "softmax", "--trainer.accelerator", "cpu", "--ckpt_path"]
TAKES_A_PATH = {
    "config": ["fit", "--config"],
    "model": [*FIT, "--model"],
    "callbacks": [*FIT, "--trainer.callbacks"],
    "init_from": [*FIT, "--model.init_from"],
    "data_dir": [*FIT, "--data.data_dir"],
    "default_root_dir": [*FIT, "--trainer.default_root_dir"],
    "dirpath": [*FIT, "--checkpoint.dirpath"],
    "filename": [*FIT, "--checkpoint.filename"],
    "ckpt_path of fit": [*FIT, "--ckpt_path"],
    "ckpt_path of test": ["test", *EVALUATE],
    "output_dir of predict": ["predict", *EVALUATE, "softmax", "--output_dir"],
    "output": ["export", "softmax", "--format", "torch_export", "--output"],
    "picture": ["classify", "--model", "softmax", "--"],
    "save": ["classify", "picture.png", "--model", "softmax", "--save"],
    "member": ["classify", "picture.png", "--model"],
    "output_dir of compare": ["compare", "softmax", "selu", "--output_dir"],
    "output_dir of figures": ["figures", "activations", "--output_dir"],
    "run": ["figures", "curves", "--run"],
    "checkpoint": ["figures", "rbm", "--checkpoint"],
    "published": ["publish", "softmax"],
    "verified": ["verify"],
    "command": [],
}
HOSTILE = "\x1b[31m한글😀\n\x9b\u202e"


@pytest.fixture(autouse=True)
def picture() -> Path:
    """A picture of a 1."""
    pixels = np.full((50, 50), 255, np.uint8)
    pixels[10:40, 20:26] = 0
    Image.fromarray(pixels).save("picture.png")
    return Path("picture.png")


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("x" * 300, id="long name"),
        pytest.param("long/" * 1000, id="long path", marks=pytest.mark.slow),
        pytest.param("with\0nul", id="NUL", marks=pytest.mark.slow),
    ],
)
@pytest.mark.parametrize("place", TAKES_A_PATH)
def test_an_impossible_path_is_refused_in_a_sentence(place: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert len(error_output([*TAKES_A_PATH[place], path], capsys)) < 2000


@pytest.mark.parametrize("place", ["data_dir", "default_root_dir", "dirpath", "ckpt_path of fit", "output", "save"])
def test_a_url_is_no_place_for_files(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "is a URL" in error_output([*TAKES_A_PATH[place], "s3://bucket/folder"], capsys)


@pytest.mark.parametrize("filename", ["{epoch:zz}", "{", "{0}", "{val_loss:d}", "{val_los}", "{epoch}" * 50])
def test_a_checkpoint_name_that_cannot_be_filled_in_is_refused(
    filename: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "LastStepCheckpoint's filename" in error_output([*FIT, "--checkpoint.filename", filename], capsys)


def test_a_checkpoint_name_with_metrics_is_used() -> None:
    assert main([*FIT, "--checkpoint.filename", "{epoch:02d}-{val_loss:.3f}"]) == 0
    assert list(Path("logs/softmax/version_0/checkpoints").glob("epoch=00-val_loss=*.ckpt"))


@pytest.mark.parametrize("value", ["null", "[1]", ".nan", "1.5", "text"])
def test_a_seed_that_is_none_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("seed.yaml").write_text(f"seed_everything: {value}\n")
    assert "seed_everything" in error_output(["fit", "--config", "seed.yaml", "--model", "SoftmaxRegression"], capsys)


def test_a_deleted_current_folder_is_reported(capsys: pytest.CaptureFixture[str]) -> None:
    folder = Path("deleted").absolute()
    for arguments in (FIT, TAKES_A_PATH["output"][:-1], ["figures", "activations"], ["classify", "picture.png"]):
        folder.mkdir()
        os.chdir(folder)
        folder.rmdir()
        assert main(arguments) == 2
        assert capsys.readouterr().err.count("\n") == 1
        os.chdir(folder.parent)


def test_a_long_picture_name_is_reported_before_the_work(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for length in (240, 250):
        shutil.copy(picture, f"{'x' * length}.png")
    assert main(["classify", f"{'x' * 240}.png", "--model", "softmax", "--save", "seen"]) == 0
    capsys.readouterr()
    message = error_output(["classify", f"{'x' * 250}.png", "--model", "softmax", "--save", "seen"], capsys)
    assert "choose a shorter name" in message


def test_names_of_pictures_and_members_are_shown_escaped(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    member = f"{HOSTILE}.ckpt"
    model = zoo.load_pretrained("softmax")
    write_weights(model, dict(model.hparams), Path(member))
    folder = Path(HOSTILE)
    folder.mkdir()
    for name in (f"a{HOSTILE}.png", "no-utf-8-\udcff.png"):
        shutil.copy(picture, folder / name)
    (folder / "damaged\x1b.png").write_text("no picture")
    assert main(["classify", str(folder), "--model", member]) == 2
    assert main(["classify", str(folder / f"a{HOSTILE}.png"), "--model", member, "--save", str(folder / "seen")]) == 0
    assert main(["classify", str(folder), "--model", member, "--json"]) == 2
    printed = capsys.readouterr()
    for text in (printed.out, printed.err):
        assert printable(text.replace("\n", "")) == text.replace("\n", "")
        assert text.encode()
    assert printable(HOSTILE) in printed.out
    assert r"\udcff" in printed.out
    assert r"damaged\x1b.png" in printed.err


def test_names_of_classes_tensors_and_modules_are_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    model = zoo.load_pretrained("softmax")
    write_weights(model, dict(model.hparams), Path("good.ckpt"))
    content = torch.load("good.ckpt", weights_only=True)
    torch.save({**content, "state_dict": {**content["state_dict"], HOSTILE: torch.zeros(1)}}, "tensor.ckpt")
    torch.save({**content, "hyper_parameters": {"_class_path": f"evil.{HOSTILE}"}}, "class.ckpt")
    torch.save({**content, "hyper_parameters": {**content["hyper_parameters"], HOSTILE: 1}}, "argument.ckpt")
    for name in ("tensor", "class", "argument"):
        for arguments in (["test", *EVALUATE, f"{name}.ckpt"], ["classify", "picture.png", "--model", f"{name}.ckpt"]):
            if (name, arguments[0]) != ("argument", "test"):  # an evaluation needs no arguments of the file
                message = error_output(arguments, capsys)
                assert message.strip().isprintable(), message
    for setting in ("--model", "--data", "--trainer.callbacks", "--trainer.logger"):
        assert error_output([*FIT, setting, f"evil.{HOSTILE}"], capsys).strip().isprintable()


def test_the_name_of_a_run_is_shown_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    config = f"{HOSTILE}.yaml"
    shutil.copy(zoo.model_info("softmax").config, config)
    assert main(["fit", "--config", config, *SHORT]) == 0
    printed = capsys.readouterr()
    lines = (printed.out + printed.err).splitlines()
    assert [line for line in lines if not line.isprintable()] == []
    assert len([line for line in lines if printable(HOSTILE) in line]) == 3
    assert len(list(Path("logs", HOSTILE).rglob("*.ckpt"))) > 0


def test_a_name_that_is_no_utf_8_is_used_or_refused(capsys: pytest.CaptureFixture[str]) -> None:
    name = "latin-\udce9"
    assert main([*TAKES_A_PATH["output_dir of figures"], name]) == 0
    assert r"latin-\udce9/activations.png" in capsys.readouterr().out
    assert r"latin-\udce9" in Path(name, "activations.csv").read_text(encoding="utf-8")
    for place in ("data_dir", "default_root_dir", "dirpath", "config", "ckpt_path of test", "output_dir of predict"):
        assert r"latin-\udce9" in error_output([*TAKES_A_PATH[place], name], capsys)
