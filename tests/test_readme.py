"""What the README says is there, is there."""

from __future__ import annotations

import itertools
import re
import shlex
from pathlib import Path

import pytest

import zoo
from zoo.cli import VERBS, main
from zoo.cli.verbs.figures import FIGURES
from zoo.pretrained.registry import packaged_config

SOURCE = Path(zoo.__file__).parent.parent
README = (SOURCE / "README.md").read_text(encoding="utf-8")
TOLD = [quoted for quoted in re.findall(r"`([^`\n]+)`", README) if quoted.startswith("zoo ")]
TYPED = [line.partition("#")[0] for line in README.splitlines() if line.startswith("zoo ")]
COMMANDS = [shlex.split(command) for command in TOLD + TYPED]
OF_THE_EXAMPLE = "wide"
"""The member that the README lets one add."""


def test_the_table_of_members_is_the_index_s(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--pretrained", "--sort", "accuracy", "--markdown"]) == 0
    assert capsys.readouterr().out in README, "put the table that this command prints into README.md"


def test_ci_runs_its_test_command() -> None:
    (command,) = re.findall(r"^python3 -m venv .*pytest -n 2$", README, flags=re.MULTILINE)
    assert command in (SOURCE / ".ci" / "run").read_text(encoding="utf-8")


def test_its_commands_name_what_exists() -> None:
    assert len(COMMANDS) > 50
    for verb, *words in (command[1:] for command in COMMANDS if command[1:] != ["COMMAND", "--help"]):
        assert verb in VERBS
        if verb == "figures":
            named = itertools.takewhile(lambda word: not word.startswith("-"), words)
            assert set(named) <= {*FIGURES, "all"}
        for flag, value in itertools.pairwise(words):
            name = value.removeprefix("configs/").removesuffix(".yaml")
            if flag == "--config" and name not in ("CONFIG", OF_THE_EXAMPLE) and "/version_" not in name:
                assert packaged_config(name) is not None, value


def test_every_picture_is_told_of() -> None:
    drawn = {word for command in COMMANDS if command[1] == "figures" for word in command[2:]}
    assert set(FIGURES) <= drawn


def test_the_lecture_s_slides_have_the_same_commands_in_both_languages() -> None:
    english, korean = (
        [re.findall(r"`([^`]+)`", line.split("|")[2]) for line in slides(heading)]
        for heading in ("## The lecture, slide by slide", "## 강의 슬라이드와 명령")
    )
    assert len(english) > 15
    assert english == korean


def slides(heading: str) -> list[str]:
    _, _, section = README.partition(heading)
    table = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return table[2:]


def test_its_pictures_lie_beside_it() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (SOURCE / picture).is_file()
