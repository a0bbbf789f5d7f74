"""The outputs of all verbs: what the zoo did not write itself is neither replaced nor written through."""

from __future__ import annotations

import functools
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.helpers import SOURCE, SignalAt, error_output, start_zoo
from zoo.cli import main
from zoo.data import MNISTDataModule
from zoo.figures import training
from zoo.figures.catalogue import FIGURES
from zoo.figures.writing import FigureWriter
from zoo.models import SoftmaxRegression

PREDICT = ["predict", "--config", "softmax", "--ckpt_path", "softmax", "--trainer.accelerator", "cpu"]
EXPORT = ["export", "softmax", "--format"]
OUTPUTS = {
    "out.pt2": [*EXPORT, "torch_export", "--output", "out.pt2"],
    "softmax.pt2": [*EXPORT, "torch_export"],
    "figures/activations.png": ["figures", "activations"],
    "figures/activations.svg": ["figures", "activations"],
    "figures/activations.csv": ["figures", "activations"],
    "figures/confident_mistakes.csv": ["figures", "confusion", "--model", "softmax"],
    "figures/depth.svg": ["figures", "depth"],
    "figures/dbn_samples.png": ["figures", "rbm"],
    "figures/few_labels.png": ["figures", "few_labels"],
    "figures/few_labels/study.json": ["figures", "few_labels"],
    "figures/few_labels/results.csv": ["figures", "few_labels"],
    "figures/few_labels/pretrained-9.ckpt": ["figures", "few_labels"],
    "comparison/compare.png": ["compare", "softmax", "dropout"],
    "seen/page-seen.png": ["classify", "page.png", "--model", "softmax", "--save", "seen"],
    "predictions/predictions.csv": PREDICT,
    "predictions/predictions.png": PREDICT,
}
QUICK = [
    "out.pt2",
    "figures/activations.svg",
    "comparison/compare.png",
    "seen/page-seen.png",
    "predictions/predictions.csv",
]


@pytest.fixture(autouse=True)
def page() -> None:
    """A picture of a 1."""
    pixels = np.full((50, 50), 255, np.uint8)
    pixels[10:40, 20:26] = 0
    Image.fromarray(pixels).save("page.png")


@pytest.mark.parametrize("kind", ["file", "empty file", "folder", "link", "dangling link"])
@pytest.mark.parametrize("output", OUTPUTS)
def test_what_was_there_stays_and_is_reported_before_the_work(
    output: str, kind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, target = Path(output), Path("target")
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "folder":
        path.mkdir()
    elif kind in ("link", "dangling link"):
        path.symlink_to(target.absolute())
        target.write_text("of the user") if kind == "link" else None
    else:
        path.write_text("of the user" if kind == "file" else "")
    before = os.lstat(path)[:2], os.lstat(path).st_mtime_ns

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("the work began")

    monkeypatch.setattr("zoo.inference.export.export", fail)
    monkeypatch.setattr("zoo.inference.comparison.compare", fail)
    monkeypatch.setattr("zoo.inference.classification.Committee", fail)
    monkeypatch.setattr("zoo.figures.training.fit", fail)
    monkeypatch.setattr("zoo.callbacks.prediction_writer.PredictionWriter.on_predict_batch_end", fail)
    message = error_output(OUTPUTS[output], capsys)
    assert path.name in message
    assert ("is a folder" if kind == "folder" else "is a link" if "link" in kind else "not written by zoo") in message
    assert (os.lstat(path)[:2], os.lstat(path).st_mtime_ns) == before
    assert target.exists() == (kind == "link")
    if kind == "link":
        assert target.read_text() == "of the user"


@pytest.mark.parametrize("output", QUICK)
def test_an_output_of_its_own_is_replaced_and_left_alone_on_the_way(
    output: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in range(2):
        assert main(OUTPUTS[output]) == 0
    capsys.readouterr()
    assert not [path for path in Path().rglob(".*") if path.name.endswith(".tmp")]


@pytest.mark.parametrize("format_name", ["onnx", "safetensors", "torch_export"])
def test_every_format_of_export_carries_the_marker(format_name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if format_name != "torch_export":
        pytest.importorskip(format_name, reason=f"needs {format_name}, which is in .[export]")
    for _ in range(2):
        assert main([*EXPORT, format_name, "--output", "exported"]) == 0


@pytest.mark.parametrize("name", ["activations", "confusion", pytest.param("rbm", marks=pytest.mark.slow)])
def test_the_files_of_each_figure_are_known_before_it_is_drawn(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(FigureWriter, "write", lambda self, figure, columns, rows, name: written.append(name))
    assert main(["figures", name]) == 0
    assert sorted(written) == sorted(FIGURES[name].files or (name,))


@pytest.mark.slow
def test_export_writes_to_a_pipe_and_to_standard_output() -> None:
    os.mkfifo("pipe")
    export = [*EXPORT, "torch_export", "--output"]
    writer = start_zoo(*export, "pipe")
    piped = Path("pipe").read_bytes()
    writer.communicate(timeout=100)
    environment = {**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1"}
    with Path("redirected").open("wb") as output:
        subprocess.run(
            [sys.executable, "-m", "zoo", *export, "/dev/stdout"],
            stdout=output,
            stderr=subprocess.PIPE,
            env=environment,
        )
    assert main([*export, "file"]) == 0
    sizes = {len(piped), Path("redirected").stat().st_size, Path("file").stat().st_size}
    assert len(sizes) == 1
    assert main([*export, "/dev/null"]) == 0
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize(
    ("output", "sentence"),
    [(".", "is a folder"), ("page.png/inside", "page.png is no folder"), ("/dev/full", "No space left on device")],
)
def test_export_reports_an_output_that_cannot_be_written(
    output: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert sentence in error_output([*EXPORT, "torch_export", "--output", output], capsys)


def test_a_disk_without_room_is_reported_and_nothing_is_left() -> None:
    """The limit on the size of a file stands for the disk, whose error comes from the same place."""
    limited = subprocess.run(
        [sys.executable, "-m", "zoo", *EXPORT, "torch_export", "--output", "new/out.pt2"],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
        env={**os.environ, "PYTHONPATH": SOURCE, "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    assert limited.returncode == 2
    assert limited.stderr == "zoo: Cannot write new/out.pt2: File too large; name another place.\n"
    assert not Path("new").exists()


def close(descriptors: tuple[int, ...]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


@pytest.mark.parametrize("arguments", [["list"], ["info", "softmax"], ["--help"], ["info", "nothing"]])
def test_closed_standard_streams_are_no_error_of_the_program(arguments: list[str]) -> None:
    for closed in ((1,), (1, 2), (0, 1, 2)):
        completed = subprocess.run(
            [sys.executable, "-m", "zoo", *arguments],
            preexec_fn=functools.partial(close, closed),
            env={**os.environ, "PYTHONPATH": SOURCE},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert completed.returncode == 2
        assert "Traceback" not in completed.stderr


def test_sigterm_ends_a_figure_s_training_with_status_143(monkeypatch: pytest.MonkeyPatch) -> None:
    def draw(*_: object) -> None:
        data = MNISTDataModule(num_train=1000)
        for _repetition in range(2):
            training.fit(SoftmaxRegression(), data, 1, SignalAt(3, signal.SIGTERM))
        raise AssertionError("the next training began")

    monkeypatch.setitem(FIGURES, "depth", FIGURES["depth"]._replace(draw=draw))
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        main(["figures", "depth"])
    assert ended.value.code == 143
    assert signal.getsignal(signal.SIGTERM) == handler


@pytest.mark.parametrize("verb", ["zoo.cli.verbs.list.run", "zoo.cli.verbs.info.run", "zoo.cli.verbs.verify.run"])
def test_sigterm_ends_every_verb_with_status_143(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verb, lambda *_: os.kill(os.getpid(), signal.SIGTERM))
    with pytest.raises(SystemExit) as ended:
        main([verb.split(".")[3]])
    assert ended.value.code == 143
