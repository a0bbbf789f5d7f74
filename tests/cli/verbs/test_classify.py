from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.drawn_digits import pictures
from tests.helpers import error_output
from zoo.cli import main


@pytest.fixture
def digits() -> Path:
    """A folder with one picture of each digit."""
    folder = Path("digits")
    folder.mkdir()
    for name, _, picture in pictures():
        if name.endswith("-path-3"):
            picture.save(folder / f"{name}.png")
    return folder


def test_one_picture_prints_a_table_of_all_members(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(digits / "5-path-3.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("digits/5-path-3.png: 5, probability 0.")
    assert "members agree" in lines[0]
    names = [line.split()[0] for line in lines[2:]]
    assert names == [*zoo.list_models(pretrained=True), "mean"]
    for line in lines[2:]:
        assert sum(map(float, line.split()[2:])) == pytest.approx(1, abs=0.01)


def test_a_folder_prints_one_line_per_picture(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(digits), "--model", "dropout", "--model", "dbn", "--model", "dropout"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    predictions = [line.split()[1] for line in lines]
    assert sum(prediction == str(digit) for digit, prediction in enumerate(predictions)) >= 8
    assert lines[0].startswith("digits/0-path-3.png  ")
    assert lines[0].endswith("of 2 members")


def test_json_contains_all_probabilities(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(digits), "--json", "--model", "dropout"]) == 0
    results = json.loads(capsys.readouterr().out)
    assert [result["file"] for result in results] == [f"digits/{digit}-path-3.png" for digit in range(10)]
    for result in results:
        assert sum(result["probabilities"]) == pytest.approx(1, abs=1e-4)
        assert result["members"]["dropout"]["probabilities"] == result["probabilities"]
        assert result["answer"] == int(np.argmax(result["probabilities"]))
        assert sum(result["votes"]) == 1
        assert result["no_digit"] is None


def test_save_writes_the_network_inputs_enlarged(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("more").mkdir()
    (digits / "3-path-3.png").rename("more/0-path-3.png")
    assert main(["classify", str(digits), "more", "--model", "softmax", "--save", "seen"]) == 0
    assert len(list(Path("seen").glob("*-seen*.png"))) == len(list(Path("seen").glob("*-steps*.png"))) == 10
    saved = np.asarray(Image.open("seen/0-path-3-seen.png"))
    assert saved.shape == (280, 280)
    expected = zoo.preprocess(digits / "0-path-3.png")[0].mul(255).round().byte().numpy()
    assert np.array_equal(saved[::10, ::10], expected)


def test_unreadable_files_are_reported_and_the_rest_are_classified(
    digits: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (digits / "notes.txt").write_text("none of these")
    (digits / "blank.png").write_bytes(b"")
    Image.new("L", (40, 40), 255).save(digits / "white.png")
    (digits / "lost.png").symlink_to("nowhere.png")
    (digits / "inside").mkdir()
    assert main(["classify", str(digits), "--model", "softmax"]) == 2
    written = capsys.readouterr()
    assert len(written.out.splitlines()) == 10
    errors = written.err.splitlines()
    assert len(errors) == 5
    assert errors[-1] == "zoo: 4 of 14 files were passed over."
    for name in ("blank.png", "notes.txt", "white.png", "lost.png"):
        assert sum(name in line for line in errors) == 1


def test_what_is_probably_no_digit_is_said(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (28, 28)).astype(np.uint8)
    Image.fromarray(noise).save("noise.png")
    assert main(["classify", "noise.png", str(digits / "3-path-3.png"), "--json"]) == 0
    noisy, digit = json.loads(capsys.readouterr().out)
    assert noisy["no_digit"]["score"] > noisy["no_digit"]["limit"] > digit["no_digit"]["score"]
    assert (noisy["no_digit"]["probably"], digit["no_digit"]["probably"]) == (True, False)
    assert main(["classify", "noise.png"]) == 0
    assert "Probably no digit" in capsys.readouterr().out


@pytest.mark.slow
def test_pictures_of_the_test_images_give_each_member_its_published_errors(capsys: pytest.CaptureFixture[str]) -> None:
    data = zoo.MNISTDataModule()
    data.prepare_data()
    data.setup("test")
    images, labels, *_ = data.splits["test"].get_batch(range(10_000))
    Path("images").mkdir()
    for row, image in enumerate((images[:, 0] * 255).round().byte().numpy()):
        Image.fromarray(image).save(f"images/{row:05}.png")
    assert main(["classify", "images", "--json"]) == 0
    results = json.loads(capsys.readouterr().out)
    for name in zoo.list_models(pretrained=True):
        answers = [result["members"][name]["answer"] for result in results]
        metrics = zoo.model_info(name).metrics
        assert metrics is not None
        assert sum(map(int.__ne__, answers, labels.tolist())) == metrics["test_errors"], name
    assert not any(result["notes"] for result in results)
    assert sum(result["no_digit"]["probably"] for result in results) <= 100


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "arguments are required: IMAGE"),
        (["nowhere.png"], "There is no picture nowhere.png"),
        (["empty"], "The folder empty holds no files"),
        (["page.png", "--model", "dropuot"], "did you mean dropout"),
        (["page.png", "--model", "rbm"], "no classifier"),
        (["page.png", "--save", "page.png"], "Cannot write"),
    ],
)
def test_usage_errors_print_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    page = np.full((50, 50), 255, np.uint8)
    page[10:40, 20:26] = 0
    Image.fromarray(page).save("page.png")
    assert sentence in error_output(["classify", *words], capsys)
