from __future__ import annotations

from pathlib import Path

import pytest
import torch

import zoo
from tests.helpers import complaint
from zoo.cli import main
from zoo.cli.verbs.export import FORMS
from zoo.inference import export
from zoo.models import Classifier


def skip_without(form: str) -> None:
    for package in export.FORMS[form].needs:
        pytest.importorskip(package, reason=f"{form} needs {package}, which is in .[export]")


@pytest.mark.parametrize("form", FORMS)
def test_what_is_written_answers_as_the_member_does(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    skip_without(form)
    assert main(["export", "dropout_batchnorm", "--format", form]) == 0
    path = Path("dropout_batchnorm" + export.FORMS[form].suffix)
    assert capsys.readouterr().out.startswith(f"{path}: {path.stat().st_size:,} bytes; read back")
    model = zoo.load_pretrained("dropout_batchnorm")
    assert isinstance(model, Classifier)
    images = torch.rand(5, 1, 28, 28)
    with torch.inference_mode():
        torch.testing.assert_close(export.FORMS[form].read(model, path)(images), model(images), rtol=1e-4, atol=1e-4)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", zoo.list_models())
def test_every_member_can_be_written(name: str, form: str) -> None:
    skip_without(form)
    deviation = export.export(zoo.create_model(name).eval(), form, Path("member"))
    assert deviation <= export.LARGEST_DEVIATION


@pytest.mark.parametrize("more", [0.1, float("nan")])
def test_what_differs_is_not_called_done(
    more: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    form = export.FORMS["torch_export"]
    wrong = form._replace(read=lambda model, path: lambda images: model(images) + more)
    monkeypatch.setitem(export.FORMS, "torch_export", wrong)
    Path("softmax.pt2").write_text("what was there before")
    assert "answers otherwise" in complaint(["export", "softmax", "--format", "torch_export"], capsys)
    assert Path("softmax.pt2").read_text() == "what was there before"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["softmax"], "required: --format"),
        (["softmax", "--format", "onix"], "invalid choice: 'onix'"),
        (["sofmax", "--format", "onnx"], "did you mean softmax"),
        (["rbm", "--format", "torch_export"], "no classifier"),
        (["softmax", "--format", "torch_export", "--output", "file/inside"], "Cannot write"),
    ],
)
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("no folder")
    assert sentence in complaint(["export", *words], capsys)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    form = export.FORMS["onnx"]
    monkeypatch.setitem(export.FORMS, "onnx", form._replace(needs=("no_such_package",)))
    said = complaint(["export", "softmax", "--format", "onnx"], capsys)
    assert "needs no_such_package" in said
    assert "[export]" in said
