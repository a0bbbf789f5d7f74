from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.drawn_digits import pictures
from tests.helpers import complaint
from zoo.cli import main


@pytest.fixture
def digits() -> Path:
    """A folder with ten pictures, one of each digit."""
    folder = Path("digits")
    folder.mkdir()
    for name, _, picture in pictures():
        if name.endswith("-path-3"):
            picture.save(folder / f"{name}.png")
    return folder


def test_one_picture_is_a_table_of_every_member(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(digits / "5-path-3.png")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("digits/5-path-3.png: 5, probability 0.")
    assert "members agree" in lines[0]
    names = [line.split()[0] for line in lines[2:]]
    assert names == [*zoo.list_models(pretrained=True), "mean"]
    for line in lines[2:]:
        assert sum(map(float, line.split()[2:])) == pytest.approx(1, abs=0.01)


def test_a_folder_is_a_line_for_each(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(digits), "--model", "dropout", "--model", "dbn", "--model", "dropout"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 10
    answers = [line.split()[1] for line in lines]
    assert sum(answer == str(digit) for digit, answer in enumerate(answers)) >= 8
    assert lines[0].startswith("digits/0-path-3.png  ")
    assert lines[0].endswith("of 2 members")


def test_json_has_every_probability(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["classify", str(digits), "--json", "--model", "dropout"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["file"] for each in found] == [f"digits/{digit}-path-3.png" for digit in range(10)]
    for each in found:
        assert sum(each["probabilities"]) == pytest.approx(1, abs=1e-4)
        assert each["members"]["dropout"]["probabilities"] == each["probabilities"]
        assert each["answer"] == int(np.argmax(each["probabilities"]))
        assert sum(each["votes"]) == 1


def test_what_the_networks_saw_can_be_looked_at(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("more").mkdir()
    (digits / "3-path-3.png").rename("more/0-path-3.png")
    assert main(["classify", str(digits), "more", "--model", "softmax", "--save", "seen"]) == 0
    assert len(list(Path("seen").iterdir())) == 10
    shown = np.asarray(Image.open("seen/0-path-3-seen.png"))
    assert shown.shape == (280, 280)
    expected = zoo.preprocess(digits / "0-path-3.png")[0].mul(255).round().byte().numpy()
    assert np.array_equal(shown[::10, ::10], expected)


def test_strangers_in_a_folder_are_listed_and_the_others_done(digits: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (digits / "notes.txt").write_text("none of these")
    (digits / "blank.png").write_bytes(b"")
    Image.new("L", (40, 40), 255).save(digits / "white.png")
    (digits / "lost.png").symlink_to("nowhere.png")
    (digits / "inside").mkdir()
    assert main(["classify", str(digits), "--model", "softmax"]) == 2
    written = capsys.readouterr()
    assert len(written.out.splitlines()) == 10
    complaints = written.err.splitlines()
    assert len(complaints) == 5
    assert complaints[-1] == "zoo: 4 of 14 files were passed over."
    for name in ("blank.png", "notes.txt", "white.png", "lost.png"):
        assert sum(name in line for line in complaints) == 1


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
def test_a_mistake_is_one_sentence(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    page = np.full((50, 50), 255, np.uint8)
    page[10:40, 20:26] = 0
    Image.fromarray(page).save("page.png")
    assert sentence in complaint(["classify", *words], capsys)
