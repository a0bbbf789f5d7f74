"""The README is up to date: commands, tables, pictures and members that it mentions exist."""

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
INLINE_COMMANDS = [quoted for quoted in re.findall(r"`([^`\n]+)`", README) if quoted.startswith("zoo ")]
BLOCK_COMMANDS = [line.partition("#")[0] for line in README.splitlines() if line.startswith("zoo ")]
COMMANDS = [shlex.split(command) for command in INLINE_COMMANDS + BLOCK_COMMANDS]
EXAMPLE_MEMBER = "wide"
"""The member that the README adds as an example."""


def test_table_of_members_is_the_output_of_zoo_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--pretrained", "--sort", "accuracy", "--markdown"]) == 0
    assert capsys.readouterr().out in README, "put the table that this command prints into README.md"


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = re.findall(r"^python3 -m venv .*pytest -n 2$", README, flags=re.MULTILINE)
    assert command in (SOURCE / ".ci" / "run").read_text(encoding="utf-8")


def test_commands_name_existing_verbs_figures_and_configs() -> None:
    assert len(COMMANDS) > 50
    for verb, *arguments in (command[1:] for command in COMMANDS if command[1:] != ["COMMAND", "--help"]):
        assert verb in VERBS
        if verb == "figures":
            figure_names = itertools.takewhile(lambda argument: not argument.startswith("-"), arguments)
            assert set(figure_names) <= {*FIGURES, "all"}
        for flag, value in itertools.pairwise(arguments):
            name = value.removeprefix("configs/").removesuffix(".yaml")
            if flag == "--config" and name not in ("CONFIG", EXAMPLE_MEMBER) and "/version_" not in name:
                assert packaged_config(name) is not None, value


def test_every_figure_is_mentioned() -> None:
    mentioned = {argument for command in COMMANDS if command[1] == "figures" for argument in command[2:]}
    assert set(FIGURES) <= mentioned


def test_lecture_slides_have_the_same_commands_in_both_languages() -> None:
    english, korean = (
        [re.findall(r"`([^`]+)`", line.split("|")[2]) for line in table_rows(heading)]
        for heading in ("## The lecture, slide by slide", "## 강의 슬라이드와 명령")
    )
    assert len(english) > 15
    assert english == korean


def table_rows(heading: str) -> list[str]:
    """Return the rows of the table below a heading, without its two header lines."""
    _, _, section = README.partition(heading)
    table = [line for line in section.partition("\n## ")[0].splitlines() if line.startswith("|")]
    return table[2:]


def test_pictures_exist() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README)
    assert pictures
    for picture in pictures:
        assert (SOURCE / picture).is_file()
