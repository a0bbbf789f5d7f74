"""A network that is not the one that was published is found out, loudly and without running anything from it."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import zoo
from tests.cli.test_errors import Evil
from zoo.cli import main
from zoo.pretrained import registry


def write(path: Path, content: dict[str, Any]) -> None:
    torch.save(content, path)


def flip_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


def swap(path: Path) -> None:
    shutil.copy(path.with_name("deep_relu.ckpt"), path)


def put_code(path: Path) -> None:
    write(path, {**torch.load(path, weights_only=True), "extra": Evil()})


def name_another_class(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["_class_path"] = "evil_module.Network"
    write(path, content)


def give_a_strange_argument(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["strange"] = 1
    write(path, content)


def change_shapes(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["state_dict"]["net.1.weight"] = torch.zeros(10, 3)
    write(path, content)


def change_a_weight(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["state_dict"]["net.1.bias"][3] += 0.1
    write(path, content)


def load(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Verify a member and return the one sentence; loading it in Python must not run anything either."""
    assert main(["verify", name]) == 1
    written = capsys.readouterr()
    assert written.out == f"{name}  FAILED\n"
    assert written.err.count("\n") == 1
    assert not Path("evil-was-here").exists()
    assert "evil_module" not in sys.modules
    return written.err


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (flip_a_byte, "is not the file that was published"),
        (truncate, "is not the file that was published"),
        (Path.unlink, "is missing"),
        (swap, "is deep_relu's file under another name"),
        (put_code, "is not the file that was published"),
    ],
)
def test_a_file_that_was_not_published_is_never_read(
    copied_zoo: Path, harm: Callable[[Path], None], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    harm(copied_zoo / "checkpoints" / "softmax.ckpt")
    assert sentence in load("softmax", capsys)
    with pytest.raises(zoo.UsageError, match="softmax"):
        zoo.load_pretrained("softmax")


@pytest.mark.parametrize(
    ("harm", "sentence"),
    [
        (truncate, "is damaged"),
        (put_code, "is refused"),
        (swap, "holds a zoo.models.mlp.MLP, but softmax is a zoo.models.softmax.SoftmaxRegression"),
        (name_another_class, "holds a evil_module.Network"),
        (give_a_strange_argument, "has arguments that SoftmaxRegression does not take"),
        (change_shapes, "is of another architecture"),
        (change_a_weight, "the logits of ten images differ"),
    ],
)
def test_an_index_that_vouches_for_a_bad_file_does_not_help_it(
    copied_zoo: Path,
    harm: Callable[[Path], None],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("evil_module.py").write_text("open('evil-was-here', 'w')")
    monkeypatch.syspath_prepend(".")
    path = copied_zoo / "checkpoints" / "softmax.ckpt"
    harm(path)
    content = path.read_bytes()
    change_entry(copied_zoo, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    assert sentence in load("softmax", capsys)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"test_errors": 1}, "but 1 was published"),
        ({"nll": 0.5}, "nll is "),
        ({"calibration_error": 0.5}, "calibration_error is "),
        ({"parameters": 5}, "trained parameters are 7850"),
        ({"golden_logits": [[0.0] * 10] * 10}, "the logits of ten images differ"),
        ({"data_md5": {}}, "data MD5 sums"),
    ],
)
def test_an_index_that_disagrees_with_its_file_is_found(
    copied_zoo: Path, changes: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change_entry(copied_zoo, **changes)
    assert sentence in load("softmax", capsys)


def change_entry(home: Path, **changes: Any) -> None:
    path = home / "checkpoints" / "index.json"
    index = json.loads(path.read_text())
    index["softmax"].update(changes)
    path.write_text(json.dumps(index))
    registry.read_index.cache_clear()


@pytest.mark.parametrize("text", ["{", "[]", '{"softmax": {"bytes": 3}}', '{"softmax": 3}'])
def test_a_damaged_index_is_said_so(copied_zoo: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (copied_zoo / "checkpoints" / "index.json").write_text(text)
    registry.read_index.cache_clear()
    for command in (["list"], ["info", "softmax"], ["verify"]):
        assert main(command) == 2
        written = capsys.readouterr().err
        assert "index.json is damaged" in written
        assert written.count("\n") == 1


def test_one_bad_member_does_not_hide_the_others(copied_zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flip_a_byte(copied_zoo / "checkpoints" / "softmax.ckpt")
    assert main(["verify", "softmax", "deep_relu"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["softmax", "FAILED"]
    assert lines[1].startswith("deep_relu  ok: ")


def test_what_cannot_be_verified_is_refused(copied_zoo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copy(copied_zoo / "configs" / "softmax.yaml", copied_zoo / "configs" / "mine.yaml")
    for words, sentence in {
        ("sofmax",): "did you mean softmax",
        ("softmax", "--all"): "names or --all, not both",
        ("https://example.com/softmax.ckpt",): "Unknown member",
    }.items():
        assert main(["verify", *words]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["verify", "mine"]) == 1
    assert "mine ships no trained network" in capsys.readouterr().err
