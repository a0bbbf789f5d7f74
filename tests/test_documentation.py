"""README and docs are up to date: their tables, links, pictures and the names in their commands."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import zoo
from docs.generate import PAGES, generated
from zoo.cli import VERBS
from zoo.figures.catalogue import FIGURES
from zoo.pretrained.registry import packaged_config

SOURCE = Path(zoo.__file__).parent.parent
README = (SOURCE / "README.md").read_text(encoding="utf-8")
TEXTS = {path: path.read_text(encoding="utf-8") for path in [*PAGES, SOURCE / "CONTRIBUTING.md"]}
EXAMPLE_MEMBER = "wide"
"""The member that the page on training adds as an example."""


def commands_of(text: str) -> list[list[str]]:
    """Return the words of each command of the zoo, in blocks of code and within lines."""
    prose = re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    inline = [quoted for quoted in re.findall(r"`([^`]+)`", prose) if quoted.startswith("zoo ")]
    block = [part.strip() for line in text.splitlines() if line.startswith("zoo ") for part in line.split(" && ")]
    return [shlex.split(command, comments=True) for command in inline + block]


TEST_COMMANDS = {
    command.strip()
    for text in TEXTS.values()
    for command in re.findall(r"pytest [^`\n#]*tests/[^`\n#]*", text)
    if not command.strip().endswith((" NAME", f" {EXAMPLE_MEMBER}"))
}
COMMANDS = [command for text in TEXTS.values() for command in commands_of(text)]


def anchors_of(text: str) -> list[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return [re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings]


def test_the_readme_fits_one_screen() -> None:
    assert len(README.splitlines()) <= 150


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_tables_are_generated(page: Path) -> None:
    assert generated(TEXTS[page]) == TEXTS[page], "run `python -m docs.generate`"


@pytest.mark.parametrize("page", TEXTS, ids=lambda path: path.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)]+)\)", TEXTS[page]):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        if anchor:
            assert anchor in anchors_of(linked.read_text(encoding="utf-8")), target


def test_ci_runs_the_test_command_of_the_readme() -> None:
    (command,) = re.findall(r"^python3 -m venv .*pytest -n 2$", README, flags=re.MULTILINE)
    assert command in (SOURCE / ".ci" / "run").read_text(encoding="utf-8")


def test_commands_name_existing_verbs_figures_and_configs() -> None:
    assert len(COMMANDS) > 100
    for verb, *arguments in (command[1:] for command in COMMANDS if command[1] not in ("COMMAND", "--version")):
        assert verb in VERBS
        if verb == "figures":
            figure_names = itertools.takewhile(lambda argument: not argument.startswith("-"), arguments)
            assert set(figure_names) <= {*FIGURES, "all", "NAME"}
        for flag, value in itertools.pairwise(arguments):
            name = value.removeprefix("configs/").removesuffix(".yaml")
            if flag == "--config" and name not in ("CONFIG", EXAMPLE_MEMBER) and "/version_" not in name:
                assert packaged_config(name) is not None, value


@pytest.mark.slow
@pytest.mark.parametrize("command", sorted(TEST_COMMANDS))
def test_commands_of_pytest_select_tests(command: str) -> None:
    words = [sys.executable, "-m", *shlex.split(command), "--collect-only", "-q", "-p", "no:cacheprovider"]
    assert subprocess.run(words, cwd=SOURCE, check=False, stdout=subprocess.DEVNULL).returncode == 0


def test_every_command_and_every_figure_is_mentioned() -> None:
    mentioned = {argument for command in COMMANDS if command[1] == "figures" for argument in command[2:]}
    assert set(FIGURES) <= mentioned
    assert {command[1] for command in COMMANDS} >= VERBS.keys()
