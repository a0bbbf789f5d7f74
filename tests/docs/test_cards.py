"""The members' cards on the documentation site."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree

import pytest

import zoo
from docs.site import command_pages, member_cards, python_pages
from docs.site.korean_cards import korean_card
from zoo.cli import VERBS


@pytest.fixture(scope="module")
def cards() -> dict[str, str]:
    return member_cards.cards()


@pytest.mark.parametrize("name", zoo.list_models())
def test_each_member_has_a_card_with_its_network_its_runs_and_its_config(name: str, cards: dict[str, str]) -> None:
    card, member = cards[name], zoo.model_info(name)
    drawings = [ElementTree.fromstring(each) for each in re.findall(r"<svg.*?</svg>", card, flags=re.DOTALL)]
    boxes = "".join(drawings[0].itertext())
    assert "28" in boxes
    assert ("RBM, 500" if name == "generative_dbn" else "linear 10") in boxes
    assert member.config.read_text(encoding="utf-8").strip() in card
    assert all(paper in card for paper in member.papers)
    if member.metrics is None:
        return
    network, runs, calibration = drawings
    dots = [each for each in runs.iter() if each.get("class") == "run"]
    assert len(dots) == len(member.metrics["runs"])
    assert len([each for each in calibration.iter() if each.get("class") == "run"]) > 2
    assert member.metrics["sha256"] in card
    height = float(network.get("height", "0"))
    assert all(float(each.get("y", "0")) < height for each in network.iter())


@pytest.mark.parametrize("name", zoo.list_models())
def test_a_korean_card_has_what_the_english_one_has_and_no_english_sentence(name: str, cards: dict[str, str]) -> None:
    english, korean = cards[name], korean_card(cards[name])
    english_text, _, english_config = english.partition("```yaml")
    korean_text, _, korean_config = korean.partition("```yaml")
    assert korean_config.replace("## 논문", "## Papers") == english_config
    numbers = [Counter(re.findall(r"\d+(?:[.,]\d+)*", text)) for text in (english_text, korean_text)]
    assert not numbers[0] - numbers[1]
    assert english_text.count("\n") == korean_text.count("\n")
    assert re.findall(r"`[^`\n]+`", korean_text) == re.findall(r"`[^`\n]+`", english_text)
    layers = r"batch norm|max pool|mean pool|alpha dropout|[Ff]ast forward|[Ss]plit & merge"
    prose = re.sub(rf"```.*?```|`[^`]+`|</?\w+(?: [\w:-]+=\"[^\"]*\")*/?>|{layers}", " ", korean_text, flags=re.DOTALL)
    assert re.findall(r"[a-z]{2,} [a-z]{2,}", prose) == []


def test_the_pages_on_commands_and_functions_are_complete() -> None:
    commands, functions = command_pages.commands(), python_pages.python()
    assert all(f"## zoo {verb}\n" in commands for verb in VERBS)
    assert "usage: zoo study" in commands
    assert all(f"heading: zoo.{name}\n" in functions for name in zoo.__all__)
