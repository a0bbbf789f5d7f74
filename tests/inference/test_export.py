from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import error_output
from zoo.cli import main
from zoo.cli.verbs.export import SUFFIXES, _name_of
from zoo.inference import export
from zoo.models import Classifier
from zoo.runs.checkpoint import write_weights
from zoo.utils.files import MARKER


def skip_without(format_name: str) -> None:
    for package in export.FORMATS[format_name].packages:
        pytest.importorskip(package, reason=f"{format_name} needs {package}, which is in .[export]")


@pytest.mark.parametrize("format_name", SUFFIXES)
def test_exported_network_has_the_member_s_logits(format_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    skip_without(format_name)
    assert main(["export", "deep_relu", "--format", format_name]) == 0
    path = Path("deep_relu" + export.FORMATS[format_name].suffix)
    assert capsys.readouterr().out.startswith(f"{path}: {path.stat().st_size:,} bytes; read back")
    model = zoo.load_pretrained("deep_relu")
    assert isinstance(model, Classifier)
    images = torch.rand(5, 1, 28, 28)
    with torch.inference_mode():
        torch.testing.assert_close(
            export.FORMATS[format_name].read(model, path)(images), model(images), rtol=1e-4, atol=1e-4
        )


def test_the_temperature_is_in_the_metadata() -> None:
    skip_without("safetensors")
    assert main(["export", "dropout_batchnorm", "--format", "safetensors"]) == 0
    with pytest.importorskip("safetensors").safe_open("dropout_batchnorm.safetensors", framework="pt") as file:
        found = file.metadata()
    metrics = zoo.model_info("dropout_batchnorm").metrics
    assert metrics is not None
    assert float(found["temperature"]) == metrics["temperature"]
    assert found["checkpoint_sha256"] == metrics["sha256"]


def test_a_network_of_ones_own_is_exported_from_its_checkpoint(capsys: pytest.CaptureFixture[str]) -> None:
    model = zoo.create_model("softmax")
    write_weights(model, dict(model.hparams), Path("mine.ckpt"))
    assert main(["export", "mine.ckpt", "--format", "torch_export"]) == 0
    assert "read back, it equals mine" in capsys.readouterr().out
    images = torch.rand(2, 1, 28, 28)
    exported = export.FORMATS["torch_export"].read(model, Path("mine.pt2"))
    torch.testing.assert_close(exported(images), model(images))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("format_name", SUFFIXES)
@pytest.mark.parametrize("name", zoo.list_models())
def test_every_member_can_be_exported(name: str, format_name: str) -> None:
    skip_without(format_name)
    deviation = export.export(zoo.create_model(name).eval(), format_name, Path("member"))
    assert deviation <= export.MAX_DEVIATION


def test_the_suffixes_are_those_of_the_formats() -> None:
    assert {name: each.suffix for name, each in export.FORMATS.items()} == SUFFIXES


@pytest.mark.parametrize("error", [0.1, float("nan")])
def test_deviating_export_fails_and_keeps_the_existing_file(
    error: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    original = export.FORMATS["torch_export"]
    wrong = original._replace(read=lambda model, path: lambda images: model(images) + error)
    monkeypatch.setitem(export.FORMATS, "torch_export", wrong)
    Path("softmax.pt2").write_text(f"what was there before: {MARKER}")
    assert "gives logits that deviate from the network's" in error_output(
        ["export", "softmax", "--format", "torch_export"], capsys
    )
    assert Path("softmax.pt2").read_text() == f"what was there before: {MARKER}"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["softmax", "--format", "onix"], "invalid choice: 'onix'"),
        (["sofmax", "--format", "onnx"], "did you mean softmax"),
        (["rbm", "--format", "torch_export"], "no classifier"),
        (["softmax", "--format", "torch_export", "--output", "file/inside"], "Cannot write"),
    ],
)
def test_invalid_arguments_give_a_one_sentence_error(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").write_text("no folder")
    assert sentence in error_output(["export", *words], capsys)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    original = export.FORMATS["onnx"]
    monkeypatch.setitem(export.FORMATS, "onnx", original._replace(packages=("no_such_package",)))
    message = error_output(["export", "softmax", "--format", "onnx"], capsys)
    assert "needs no_such_package" in message
    assert "[export]" in message


def test_the_file_of_a_run_s_network_is_named_after_the_run(small_run: Path) -> None:
    assert _name_of(str(small_run)) == "dropout_batchnorm-version_0"
    shutil.copy(small_run, "mine.ckpt")
    assert _name_of("mine.ckpt") == "mine"
    assert _name_of("softmax") == "softmax"
