"""A checkpoint of one's own is taken wherever a member's name is."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

import zoo
from tests.helpers import error_output
from zoo.cli import main
from zoo.models import MLP
from zoo.pretrained.registry import root
from zoo.runs.checkpoint import write_weights


@pytest.fixture
def own() -> str:
    """A copy of a trained member, as a file of one's own."""
    Path("own.ckpt").write_bytes((root() / "checkpoints" / "softmax.ckpt").read_bytes())
    return "own.ckpt"


@pytest.fixture
def other_classes() -> str:
    """A checkpoint of a network that tells three classes apart."""
    model = MLP([8], num_classes=3)
    write_weights(model, dict(model.hparams), Path("three.ckpt"))
    return "three.ckpt"


def test_comparison_with_a_copy_finds_no_difference(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", "softmax", own]) == 0
    metrics = zoo.model_info("softmax").metrics
    assert metrics is not None
    right = 10_000 - metrics["test_errors"]
    output = capsys.readouterr().out
    assert f"softmax and own.ckpt: {right:,} right by both, 0 by softmax alone, 0 by own.ckpt alone" in output
    assert Path("comparison/compare.png").is_file()


def test_info_says_what_is_in_the_file(own: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", own]) == 0
    card = capsys.readouterr().out
    digest = hashlib.sha256(Path(own).read_bytes()).hexdigest()
    for expected in ("zoo.models.softmax.SoftmaxRegression", "7,850 in 2 tensors", digest, "the weights alone"):
        assert expected in card
    assert main(["info", own, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sha256"] == digest


def test_info_of_a_run_says_how_long_it_was_trained(small_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info", str(small_run)]) == 0
    assert "2 steps; epoch 0" in capsys.readouterr().out


@pytest.mark.slow
def test_its_confusion_matrix_is_drawn(own: str) -> None:
    assert main(["figures", "confusion", "--model", own]) == 0
    assert Path("figures/confusion.png").is_file()


@pytest.mark.parametrize(
    "words", [["compare", "three.ckpt", "copy.ckpt"], ["figures", "confusion", "--model", "three.ckpt"]]
)
@pytest.mark.usefixtures("other_classes")
def test_what_needs_digits_refuses_other_classes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("copy.ckpt").write_bytes(Path("three.ckpt").read_bytes())
    assert "three.ckpt has the classes 0, 1, 2: " in error_output(words, capsys)
    assert "three.ckpt tells 0, 1, 2 apart" in error_output(["demo", "three.ckpt"], capsys)


@pytest.mark.parametrize("verb", ["export", "compare", "demo", "info", "classify"])
@pytest.mark.parametrize(
    ("name", "sentence"),
    [("none.ckpt", "There is no checkpoint none.ckpt"), ("folder", "is a folder"), ("sofmax", "did you mean softmax")],
)
def test_what_is_no_network_is_reported(
    verb: str, name: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("folder").mkdir()
    words = {"compare": ["softmax", name], "classify": ["seven.png", "--model", name]}.get(verb, [name])
    assert sentence in error_output([verb, *words], capsys)
