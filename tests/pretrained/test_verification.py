"""Verification detects a network that is not the published one, without executing code from its file."""

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
from tests.cli.test_errors import MaliciousObject
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


def replace_by_another_member(path: Path) -> None:
    shutil.copy(path.with_name("deep_relu.ckpt"), path)


def add_code(path: Path) -> None:
    write(path, {**torch.load(path, weights_only=True), "extra": MaliciousObject()})


def change_class_path(path: Path) -> None:
    content = torch.load(path, weights_only=True)
    content["hyper_parameters"]["_class_path"] = "evil_module.Network"
    write(path, content)


def add_unknown_argument(path: Path) -> None:
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


def verification_error(name: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Verify a member and return the error message; no code from the file may be executed."""
    assert main(["verify", name]) == 1
    written = capsys.readouterr()
    assert written.out == f"{name}  FAILED\n"
    assert written.err.count("\n") == 1
    assert not Path("evil-was-here").exists()
    assert "evil_module" not in sys.modules
    return written.err


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (flip_a_byte, "is not the file that was published"),
        (truncate, "is not the file that was published"),
        (Path.unlink, "is missing"),
        (replace_by_another_member, "is deep_relu's file under another name"),
        (add_code, "is not the file that was published"),
    ],
)
def test_a_file_that_differs_from_the_published_one_is_refused(
    copied_zoo: Path, damage: Callable[[Path], None], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(copied_zoo / "checkpoints" / "softmax.ckpt")
    assert sentence in verification_error("softmax", capsys)
    with pytest.raises(zoo.UsageError, match="softmax"):
        zoo.load_pretrained("softmax")


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (truncate, "is damaged"),
        (add_code, "is refused"),
        (replace_by_another_member, "holds a zoo.models.mlp.MLP, not a zoo.models.softmax.SoftmaxRegression"),
        (change_class_path, "holds an evil_module.Network"),
        (add_unknown_argument, "has arguments that SoftmaxRegression does not take"),
        (change_shapes, "is of another architecture"),
        (change_a_weight, "the logits of ten images differ"),
    ],
)
def test_a_damaged_file_is_refused_even_if_its_sha256_is_in_the_index(
    copied_zoo: Path,
    damage: Callable[[Path], None],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    Path("evil_module.py").write_text("open('evil-was-here', 'w')")
    monkeypatch.syspath_prepend(".")
    path = copied_zoo / "checkpoints" / "softmax.ckpt"
    damage(path)
    content = path.read_bytes()
    change_entry(copied_zoo, sha256=hashlib.sha256(content).hexdigest(), bytes=len(content))
    assert sentence in verification_error("softmax", capsys)


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
def test_an_index_entry_that_does_not_match_the_network_is_detected(
    copied_zoo: Path, changes: dict[str, Any], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    change_entry(copied_zoo, **changes)
    assert sentence in verification_error("softmax", capsys)


def change_entry(root: Path, **changes: Any) -> None:
    path = root / "checkpoints" / "index.json"
    index = json.loads(path.read_text())
    index["softmax"].update(changes)
    path.write_text(json.dumps(index))
    registry.read_index.cache_clear()


@pytest.mark.parametrize("text", ["{", "[]", '{"softmax": {"bytes": 3}}', '{"softmax": 3}'])
def test_a_damaged_index_is_reported(copied_zoo: Path, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    (copied_zoo / "checkpoints" / "index.json").write_text(text)
    registry.read_index.cache_clear()
    for command in (["list"], ["info", "softmax"], ["verify"]):
        assert main(command) == 2
        written = capsys.readouterr().err
        assert "index.json is damaged" in written
        assert written.count("\n") == 1


def test_a_failed_member_does_not_prevent_the_verification_of_others(
    copied_zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flip_a_byte(copied_zoo / "checkpoints" / "softmax.ckpt")
    assert main(["verify", "softmax", "deep_relu"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["softmax", "FAILED"]
    assert lines[1].startswith("deep_relu  ok: ")


def test_invalid_arguments_and_members_without_a_network_are_refused(
    copied_zoo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(copied_zoo / "configs" / "softmax.yaml", copied_zoo / "configs" / "mine.yaml")
    for arguments, sentence in {
        ("sofmax",): "did you mean softmax",
        ("softmax", "--all"): "names or --all, not both",
        ("https://example.com/softmax.ckpt",): "Unknown member",
    }.items():
        assert main(["verify", *arguments]) == 2
        assert sentence in capsys.readouterr().err
    assert main(["verify", "mine"]) == 1
    assert "mine ships no trained network" in capsys.readouterr().err
