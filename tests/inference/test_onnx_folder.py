"""The folder that `zoo export NAME` writes: what is in it works without the zoo, torch and SciPy."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import zoo
from tests.drawn_digits import pictures
from tests.helpers import SOURCE, error_output
from tests.photographs import photographs
from zoo.cli import main
from zoo.data.preprocessing import preprocess, resize
from zoo.inference.bundling import PREPROCESSING, bundle
from zoo.inference.onnx_files import OPSET
from zoo.models import MLP
from zoo.runs.checkpoint import write_weights

SAVE = """
import numpy as np
from preprocess import preprocess, resize
np.save("pixels.npy", [[function(name) for name in sys.argv[1:]] for function in (preprocess, resize)])
try:
    preprocess("blank.png")
except ValueError as error:
    print(error)
"""
UNAVAILABLE = ("zoo", "torch", "scipy", "torchvision", "matplotlib")


def run_without_the_zoo(program: str, *arguments: str, opencv: bool = False) -> str:
    """Run a program where only what `preprocess.py` may need can be imported, and return its output."""
    missing = UNAVAILABLE if opencv else (*UNAVAILABLE, "cv2")
    start = f"import sys\nsys.modules |= dict.fromkeys({missing})\n"
    command = [sys.executable, "-c", start + program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=100).stdout


@pytest.fixture(scope="module")
def onnx() -> Any:
    for package in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(package, reason=f"needs {package}, which is in .[export]")
    return pytest.importorskip("onnx")


@pytest.mark.parametrize("drawn", [1, pytest.param(100, marks=pytest.mark.slow)])
def test_the_bundle_makes_the_same_images_without_the_package(drawn: int) -> None:
    Path("preprocess.py").write_text(bundle(PREPROCESSING))
    files = [Path(SOURCE, "docs/pictures/seven.png")]
    for number, (_, _, picture) in enumerate(islice(pictures(), drawn)):
        files.append(Path(f"drawn-{number}.png"))
        picture.save(files[-1])
    small = np.full((1200, 900, 3), 250, np.uint8)
    small[500:560, 300:306] = 20
    Image.fromarray(small).save("small.png")
    Image.fromarray(small[:, :, 0].astype(np.uint16) * 257).save("16-bit.png")
    turned = Image.fromarray(small)
    turned.getexif()[0x0112] = 6
    turned.save("turned.jpg", exif=turned.getexif())
    files += [Path("small.png"), Path("16-bit.png"), Path("turned.jpg")]
    Image.new("L", (90, 90), 200).save("blank.png")
    assert "nothing in this picture that stands out" in run_without_the_zoo(SAVE, *map(str, files))
    pixels = torch.from_numpy(np.load("pixels.npy"))
    for found, file in zip(pixels[0], files, strict=True):
        assert torch.equal(found, preprocess(file)), file
    for found, file in zip(pixels[1], files, strict=True):
        assert torch.equal(found, resize(file)), file


@pytest.mark.slow
def test_the_bundle_reads_photographs_with_opencv() -> None:
    Path("preprocess.py").write_text(bundle(PREPROCESSING))
    files = []
    for name, _, picture in islice(photographs(), 0, None, 7):
        files.append(f"{name}.png")
        picture.save(files[-1])
    Image.new("L", (90, 90), 200).save("blank.png")
    assert "nothing in this picture that stands out" in run_without_the_zoo(SAVE, *files, opencv=True)
    pixels = torch.from_numpy(np.load("pixels.npy"))
    for found, file in zip(pixels[0], files, strict=True):
        assert torch.equal(found, preprocess(file)), file


def test_modules_that_do_not_fit_together_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match="is no part of the bundle"):
        bundle(["zoo.data.preprocessing"])
    sources = iter(["def same():\n    return 1", "def same():\n    return 2"])
    monkeypatch.setattr("inspect.getsource", lambda _: next(sources))
    with pytest.raises(ValueError, match="defines same"):
        bundle(["json", "csv"])


def test_the_folder_classifies_a_picture_in_a_program_without_torch(
    onnx: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "softmax"]) == 0
    output = capsys.readouterr().out
    folder = Path("softmax-onnx")
    names = ["example.py", "preprocess.py", "softmax-float16.onnx", "softmax-int8.onnx", "softmax.onnx"]
    assert sorted(path.name for path in folder.iterdir()) == names
    metrics = zoo.model_info("softmax").metrics
    assert metrics is not None
    errors = metrics["test_errors"]
    # A few of 10,000 images lie at the boundary of two classes, where rounding decides.
    found = {name: int(output.partition(f"{folder}/{name}: ")[2].split(", ")[1].split()[0]) for name in names[2:]}
    assert abs(found["softmax.onnx"] - errors) <= 2
    assert abs(found["softmax-float16.onnx"] - errors) <= 10
    assert abs(found["softmax-int8.onnx"] - errors) <= 50
    assert "softmax itself makes" in output
    run = f"import runpy\nsys.path.insert(0, {str(folder)!r})\nrunpy.run_path({str(folder / 'example.py')!r})"
    assert "seven.png: 7, probability 0." in run_without_the_zoo(run, f"{SOURCE}/docs/pictures/seven.png")
    for arguments, sentence in (([], "Name one picture or more"), (["nothing.png"], "There is no file nothing.png.")):
        failed = subprocess.run([sys.executable, folder / "example.py", *arguments], capture_output=True, text=True)
        assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
        assert sentence in failed.stderr
    described = {each.key: each.value for each in onnx.load(str(folder / "softmax-int8.onnx")).metadata_props}
    assert float(described["temperature"]) == metrics["temperature"]


def contract(onnx: Any, path: Path) -> tuple[Any, ...]:
    """Return the names and shapes of what goes in and out of an ONNX file, and its version of the operators."""
    proto = onnx.load(str(path))
    (given,), (returned,) = proto.graph.input, proto.graph.output
    shapes = [
        [dimension.dim_param or dimension.dim_value for dimension in each.type.tensor_type.shape.dim]
        for each in (given, returned)
    ]
    types = [each.type.tensor_type.elem_type == onnx.TensorProto.FLOAT for each in (given, returned)]
    opset = next(each.version for each in proto.opset_import if each.domain == "")
    return given.name, shapes[0], returned.name, shapes[1], all(types), opset


def test_metadata_says_what_was_exported_and_how_pictures_are_made_ready(onnx: Any) -> None:
    model = MLP([8], num_classes=3)
    write_weights(model, dict(model.hparams), Path("own.ckpt"))
    assert main(["export", "own.ckpt", "--output", "own.onnx"]) == 0
    expected = ("images", ["batch", 1, 28, 28], "logits", ["batch", 3], True, OPSET)
    assert contract(onnx, Path("own.onnx")) == expected
    found = {each.key: each.value for each in onnx.load("own.onnx").metadata_props}
    assert found["checkpoint"] == "own.ckpt"
    assert found["checkpoint_sha256"] == hashlib.sha256(Path("own.ckpt").read_bytes()).hexdigest()
    assert json.loads(found["classes"]) == ["0", "1", "2"]
    assert found["preprocessing"] == "preprocess"
    assert found["zoo"] == zoo.__version__


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_all_members_have_one_contract(onnx: Any, capsys: pytest.CaptureFixture[str]) -> None:
    for name in zoo.list_models(pretrained=True):
        assert main(["export", name, "--output", "folder"]) == 0
        for precision in ("", "-float16", "-int8"):
            path = Path("folder", f"{name}{precision}.onnx")
            expected = ("images", ["batch", 1, 28, 28], "logits", ["batch", 10], True, OPSET)
            assert contract(onnx, path) == expected, path
            found = {each.key: each.value for each in onnx.load(str(path)).metadata_props}
            metrics = zoo.model_info(name).metrics
            assert metrics is not None
            assert found["checkpoint_sha256"] == metrics["sha256"]


@pytest.mark.slow
@pytest.mark.usefixtures("onnx")
def test_a_network_with_other_classes_has_no_file_in_8_bits(capsys: pytest.CaptureFixture[str]) -> None:
    model = MLP([8], num_classes=3)
    write_weights(model, dict(model.hparams), Path("own.ckpt"))
    assert main(["export", "own.ckpt", "--output", "folder"]) == 0
    assert "int8 is left out" in capsys.readouterr().out
    assert sorted(path.name for path in Path("folder").glob("*.onnx")) == ["own-float16.onnx", "own.onnx"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["softmax", "--output", "file"], "file is no folder"),
        (["softmax", "--output", "foreign"], "was not written by zoo"),
        (["softmax", "--output", "/dev/null"], "is no folder"),
    ],
)
@pytest.mark.usefixtures("onnx")
def test_what_is_there_is_not_overwritten(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("file").write_text("no folder")
    Path("foreign").mkdir()
    Path("foreign/example.py").write_text("somebody's")
    assert sentence in error_output(["export", *words], capsys)
