"""The members' cards on the documentation site."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

import zoo
from docs.site import command_pages, member_cards, python_pages
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


def test_the_pages_on_commands_and_functions_are_complete() -> None:
    commands, functions = command_pages.commands(), python_pages.python()
    assert all(f"## zoo {verb}\n" in commands for verb in VERBS)
    assert "usage: zoo study" in commands
    assert all(f"heading: zoo.{name}\n" in functions for name in zoo.__all__)
