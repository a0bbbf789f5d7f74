"""Image classification data sets from a user's folders, one folder per class."""

from __future__ import annotations

import csv
import json
import os
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

import zoo
from tests.helpers import error_output, errors, snapshot, write_pictures
from zoo.cli import main
from zoo.data import ImageFolderDataModule
from zoo.runs.checkpoint import read_checkpoint
from zoo.utils.errors import UsageError

FIT = ["fit", "--config", "demos/image_folder", "--data.data_dir", "own", "--trainer.accelerator", "cpu"]
SMALL = [*FIT, "--model.num_classes", "3", "--trainer.max_epochs", "2", "--data.batch_size", "10"]
NAMES = ["nought", "one", "two"]


def read(**arguments: object) -> ImageFolderDataModule:
    data = ImageFolderDataModule("own", **arguments)  # type: ignore[arg-type]
    data.prepare_data()
    data.setup()
    return data


def files(data: ImageFolderDataModule, split: str) -> set[Path]:
    return {data.files[row] for row in data.splits[split].rows.tolist()}


@pytest.fixture
def own() -> Path:
    """Ten images of each of three digits, in named folders."""
    return write_pictures(Path("own"), NAMES, 10)


def test_each_class_is_split_into_the_three_sets(own: Path) -> None:
    data = read(val_share=0.2, test_share=0.1)
    assert list(data.class_names) == NAMES
    for split, count in (("train", 7), ("validation", 2), ("test", 1)):
        assert data.splits[split].labels.bincount().tolist() == [count] * 3
        assert all(path.parent.name in NAMES for path in files(data, split))
    assert len(files(data, "train") | files(data, "validation") | files(data, "test")) == 30
    training = data.splits["train"]
    for image, label, row in zip(training.images, training.labels, training.rows, strict=True):
        assert data.files[row].parent.name == NAMES[label]
        assert torch.equal(image, (zoo.preprocess(data.files[row])[0] * 255).round().byte())


@pytest.mark.parametrize("names", [["boxed", "plain"], [str(digit) for digit in range(10)]])
def test_boxes_are_kept_unless_the_classes_are_the_digits(names: list[str]) -> None:
    page = Image.new("L", (200, 200), 255)
    pen = ImageDraw.Draw(page)
    pen.line([(100, 60), (100, 140)], fill=0, width=9)
    pen.rectangle((30, 30, 170, 170), outline=0, width=4)
    for name in names:
        (Path("own") / name).mkdir(parents=True)
        for number in range(3):
            page.save(Path("own") / name / f"{number}.png")
    image = read().splits["train"].images[0]
    is_kept = bool((image.amax(dim=0) > 0).sum() > 15)  # columns with ink
    assert is_kept == (len(names) == 2)


def test_split_is_a_function_of_seed_and_file_name(own: Path) -> None:
    first, again, other = (files(read(split_seed=seed, val_share=0.3), "validation") for seed in (0, 0, 1))
    assert first == again != other
    write_pictures(Path("own"), [*NAMES, "three"], 10)
    assert files(read(val_share=0.3), "validation") >= first


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("training", "testing")])
def test_existing_train_and_test_folders_are_used(train: str, test: str) -> None:
    write_pictures(Path("own") / train, NAMES, 10)
    write_pictures(Path("own") / test, NAMES, 4, first=10)
    data = read()
    assert data.splits["train"].labels.bincount().tolist() == [9, 9, 9]
    assert data.splits["validation"].labels.bincount().tolist() == [1, 1, 1]
    assert {path.parent.parent.name for path in files(data, "test")} == {test}
    assert len(data.splits["test"]) == 12
    write_pictures(Path("own") / test, ["dog"], 1)
    with pytest.raises(UsageError, match="pictures of dog, which nothing is trained on"):
        read()
    write_pictures(Path("own") / ("testing" if test == "test" else "test"), NAMES, 1)
    with pytest.raises(UsageError, match="own/test and own/testing are folders of the same set"):
        read()


def test_numeric_class_names_are_sorted_by_number() -> None:
    write_pictures(Path("own"), [str(number) for number in range(12)], 1)
    assert list(read().class_names) == [str(number) for number in range(12)]


def test_without_preprocessing_images_of_the_right_size_are_unchanged() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (28, 28), dtype=np.uint8)
    for name in NAMES:
        Path(f"own/{name}").mkdir(parents=True)
        Image.fromarray(pixels).save(f"own/{name}/noise.png")
        Image.fromarray(np.full((100, 50, 3), 40, np.uint8)).save(f"own/{name}/grey.png")
    data = read(preprocess=False, val_share=0.0, test_share=0.0)
    assert torch.equal(data.splits["train"].images[1], torch.from_numpy(pixels))
    assert data.splits["train"].images[0].unique().tolist() == [40]


def test_fit_predict_and_classify_with_an_image_folder(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--trainer.max_epochs", "8"]) == 0
    wrong = errors(capsys.readouterr().out)
    assert wrong <= 1
    config, checkpoint = "logs/image_folder/version_0/config.yaml", "logs/image_folder/version_0/checkpoints/last.ckpt"
    trained = ["--config", config, "--ckpt_path", checkpoint, "--trainer.accelerator", "cpu"]
    assert main(["predict", *trained]) == 0
    with Path("predictions/predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == NAMES
    assert all(row["label"] == Path(row["file"]).parent.name for row in rows)
    assert sum(row["label"] != row["prediction"] for row in rows) == wrong
    assert set(rows[0]) == {"index", "label", "prediction", "pnought", "pone", "ptwo", "file"}
    capsys.readouterr()
    assert main(["classify", rows[2]["file"], "--model", checkpoint, "--json"]) == 0
    (output,) = json.loads(capsys.readouterr().out)
    assert output["answer"] == rows[2]["prediction"]
    assert output["classes"] == NAMES
    assert output["probabilities"] == pytest.approx([float(rows[2][f"p{name}"]) for name in NAMES], abs=1e-2)
    assert main(["classify", rows[2]["file"], "--model", checkpoint]) == 0
    assert f": {rows[2]['prediction']}, probability" in capsys.readouterr().out
    both = ["classify", rows[2]["file"], "--model", checkpoint, "--model", "softmax"]
    assert "only networks with the same classes can form a committee" in error_output(both, capsys)


def test_training_resumes_only_with_the_same_images(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(SMALL) == 0
    longer = [*SMALL, "--ckpt_path", "last", "--model.lr_schedule", "cosine"]
    write_pictures(Path("own"), NAMES, 11)
    assert "are not those that this training began with" in error_output(longer, capsys)
    began = read_checkpoint("logs/image_folder/version_0/checkpoints/last.ckpt")
    assert began.content["ImageFolderDataModule"]["class_names"] == NAMES
    # Testing on other images is allowed, as long as the classes are the same.
    test = ["test", "--config", "logs/image_folder/version_0/config.yaml", "--ckpt_path", str(began.path)]
    assert main([*test, "--trainer.accelerator", "cpu"]) == 0
    Path("own/one").rename("own/an_one")
    assert "was trained on the classes nought, one, two, and these are an_one, nought" in error_output(test, capsys)


def test_unreadable_files_are_reported_and_skipped(own: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("own/one/notes.txt").write_text("no picture")
    Path("own/one/empty.png").touch()
    Image.new("L", (30, 30), 255).save("own/two/blank.png")
    Path("own/.hidden").mkdir()
    Path("own/readme.txt").write_text("no class")
    assert main([*SMALL, "--trainer.fast_dev_run", "true"]) == 0
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[1] for line in said[:2]] == ["own/one/empty.png", "own/one/notes.txt"]
    assert said[2].startswith("zoo: own/two/blank.png: There is nothing")
    assert said[3] == "zoo: 3 of 33 files were passed over."


def test_folder_is_only_read_whatever_lies_in_it(own: Path) -> None:
    os.mkfifo("own/one/pipe.png")
    Path("own/one/folder.png").mkdir()
    Path("outside").mkdir()
    for index, target in enumerate(("/dev/zero", "link-2.png", "link-2.png", str(Path("outside").absolute()))):
        Path(f"own/one/link-{index}.png").symlink_to(target)
    Path("own/two/no picture.png").write_bytes(b"mine")
    picture = next(Path("own/two").glob("0*.png"))
    Path(os.fsdecode(b"own/two/\xff.png")).write_bytes(picture.read_bytes())  # a name that is not UTF-8
    before = snapshot(Path())
    assert sum(len(split) for split in read().splits.values()) == 31
    assert snapshot(Path()) == before


def test_one_or_two_images_per_class_are_all_used_for_training(capsys: pytest.CaptureFixture[str]) -> None:
    write_pictures(Path("own"), NAMES, 2)
    assert main(SMALL) == 0
    assert "there are no test images, so the network was not tested" in capsys.readouterr().out
    trained = ["--config", "logs/image_folder/version_0/config.yaml", "--trainer.accelerator", "cpu"]
    trained += ["--ckpt_path", "logs/image_folder/version_0/checkpoints/last.ckpt"]
    assert "There are no test images" in error_output(["test", *trained], capsys)
    assert "has no test images" in error_output(["predict", *trained], capsys)


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("true", "The data has 3 classes, but this MLP tells 10 apart: set model.num_classes 3."),
        ("mv own elsewhere", "There is no folder own"),
        ("rm own/two/*", "own/two holds no pictures"),
        ("for each in own/two/*; do : > $each; done", "No picture of the class two can be"),
        ("mv own/one own/two .", "own holds 1 folders"),
    ],
)
def test_invalid_folders_give_a_one_sentence_error(
    command: str, sentence: str, own: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(command, shell=True, check=True)
    assert main(FIT) == 2
    assert capsys.readouterr().err.splitlines()[-1].startswith(f"zoo: {sentence}")
    assert not Path("logs").exists()


@pytest.mark.parametrize("arguments", [{"val_share": 1.0}, {"val_share": 0.5, "test_share": 0.5}, {"split_seed": -1}])
def test_out_of_range_arguments_are_rejected(arguments: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        ImageFolderDataModule("own", **arguments)  # type: ignore[arg-type]
