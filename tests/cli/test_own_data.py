"""``zoo fit``, ``test`` and ``predict`` with digits of the user's own."""

from __future__ import annotations

import csv
import re
import shlex
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests import user_files
from tests.helpers import error_output, errors, run_zoo, weights
from tests.user_files import FORMS, Part, make_part
from zoo.cli import main

TRAIN, TEST = make_part(200), make_part(60, seed=1)
OWN = ["--data.data_dir", "own", "--data.val_size", "50", "--trainer.accelerator", "cpu"]
FIT = ["fit", "--config", "softmax", *OWN, "--data.batch_size", "10", "--model.lr", "0.05", "--trainer.max_epochs", "5"]
CHECKPOINT = "logs/softmax/version_0/checkpoints/last.ckpt"
TRAINED = ["--config", "softmax", *OWN, "--ckpt_path", CHECKPOINT]


@pytest.fixture(autouse=True)
def own() -> Path:
    folder = Path("own")
    folder.mkdir()
    return folder


def write_kaggle(folder: Path, train: Part = TRAIN, test: Part = TEST) -> None:
    """Write ``train.csv``, and ``test.csv`` without labels."""
    (folder / "train.csv").write_text(user_files.csv_text(train))
    (folder / "test.csv").write_text(user_files.csv_text(test, labels=False))


def rows_of(path: str) -> list[dict[str, str]]:
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("form", ["npz", "kaggle", "idx_where_mnist_lies", "mnist_png"])
def test_fit_test_and_predict(form: str, own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(FORMS[form](own, TRAIN, TEST))
    assert main([*FIT, "--data.data_dir", path]) == 0
    output = capsys.readouterr().out
    assert "200 training images of 28 × 28 pixels" in output
    assert "60 test images of 28 × 28 pixels" in output
    assert errors(output) == 0
    assert main(["test", *TRAINED, "--data.data_dir", path]) == 0
    assert "accuracy 1.0000, 0 errors" in capsys.readouterr().out
    assert main(["predict", *TRAINED, "--data.data_dir", path]) == 0
    assert "60 images, 0 errors" in capsys.readouterr().out
    rows = rows_of("predictions/predictions.csv")
    assert [row["label"] for row in rows] == [row["prediction"] for row in rows]
    if form == "mnist_png":
        assert all(Path(row["file"]).parent.name == row["label"] for row in rows)
    else:
        assert [int(row["label"]) for row in rows] == TEST[1].tolist()


def test_kaggle_from_training_to_submission(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kaggle(own)
    assert main(FIT) == 0
    output = capsys.readouterr().out
    assert "there are no test images with labels, so the network was not tested" in output
    printed = re.search(r"Predict: +zoo (.*)", output)
    assert printed
    assert main(shlex.split(printed[1])) == 0
    assert "60 images, without labels" in capsys.readouterr().out
    shutil.rmtree("predictions")
    assert main(["predict", *TRAINED, "--submission", "true"]) == 0
    assert "60 images, without labels" in capsys.readouterr().out
    expected = [f"{number},{label}" for number, label in enumerate(TEST[1].tolist(), 1)]
    assert Path("predictions/submission.csv").read_text().splitlines() == ["ImageId,Label", *expected]
    rows = rows_of("predictions/predictions.csv")
    assert {row["label"] for row in rows} == {""}
    assert [int(row["prediction"]) for row in rows] == TEST[1].tolist()
    assert main(["predict", *TRAINED, "--submission", "true", "--indices", "[3]"]) == 0  # its own files are replaced
    assert "Image 3: Label ?, Prediction" in capsys.readouterr().out
    message = error_output(["test", *TRAINED], capsys)
    assert "The test images in own have no labels to compare with: `zoo predict` says what they show." in message
    Path("predictions/submission.csv").write_text("mine")
    assert "exists and was not written by zoo" in error_output(["predict", *TRAINED, "--submission", "true"], capsys)


def test_images_of_one_part_are_no_test_set(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    user_files.write_pngs(own, TRAIN)
    assert main(FIT) == 0
    output = capsys.readouterr().out
    assert "there are no test images, so the network was not tested" in output
    assert "Test it" not in output
    assert main(["test", *TRAINED]) == 0
    assert "own has no test part, so all its images are tested" in capsys.readouterr().out


def test_training_resumes_with_the_same_data_only(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_kaggle(own)
    assert main(FIT) == 0
    whole = weights(CHECKPOINT)
    short = ["--trainer.max_steps", "20", "--trainer.default_root_dir", "short"]
    resume = ["--trainer.default_root_dir", "short", "--ckpt_path", "last"]
    assert main([*FIT, *short]) == 0
    capsys.readouterr()
    assert "are not those that this training began with" in error_output([*FIT[:3], *FIT[5:], *resume], capsys)
    np.savez("own.npz", x_train=TRAIN[0][::-1], y_train=TRAIN[1][::-1])
    message = error_output([*FIT, *resume, "--data.data_dir", "own.npz"], capsys)
    assert "The training images in own.npz are not those that this training began with" in message
    own.rename("moved")
    assert main([*FIT, *resume, "--data.data_dir", "moved"]) == 0  # the same, elsewhere
    assert weights(max(Path("short").rglob("last.ckpt"))) == whole


def lone_labels(folder: Path) -> None:
    (folder / "train.csv").write_text(user_files.csv_text(TRAIN, labels=False))


def damaged(folder: Path) -> None:
    path = user_files.npz(folder, TRAIN, TEST)
    path.write_bytes(path.read_bytes()[:-100])


def few(folder: Path) -> None:
    write_kaggle(folder, make_part(40))


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lone_labels, "The training images in own have no labels"),
        (damaged, "own/mnist.npz cannot be read as data: it is damaged"),
        (
            few,
            "own has 40 training images, but 50 are wanted for validation (data.val_size) and at least one for "
            "training: choose less",
        ),
        (lambda folder: (folder / "notes.txt").touch(), "own holds notes.txt, and nothing that is read as data"),
        (lambda folder: (folder / "one.png").touch(), "`zoo classify` says what single pictures show"),
    ],
)
def test_data_that_cannot_be_trained_on_is_refused_before_anything_is_written(
    make: Callable[[Path], object], sentence: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make(own)
    assert sentence in error_output(FIT, capsys)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("form", "strategy"), [("kaggle", "ddp"), ("mnist_png", "ddp_spawn")])
def test_several_processes_train_and_predict_as_one(form: str, strategy: str, own: Path, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("import sys\nfrom zoo.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n")
    path = str(FORMS[form](own, TRAIN, TEST))
    processes = ["--data.data_dir", path, "--trainer.devices", "2", "--trainer.strategy", strategy]
    output = run_zoo(*FIT, *processes, program=(str(program),))
    assert output.count("200 training images of 28") == 1
    assert errors(output) == 0
    run_zoo("predict", *TRAINED, *processes, program=(str(program),))
    rows = rows_of("predictions/predictions.csv")
    assert len(rows) == 60
    assert [row["label"] for row in rows] == [row["prediction"] for row in rows]
