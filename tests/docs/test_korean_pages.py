"""A Korean page has what its English page has: sections, code, commands, tables, links, pictures and numbers."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from docs.generate import BLOCK, KOREAN
from tests.test_documentation import SOURCE, TEXTS, anchors_of

DOCS = SOURCE / "docs"
PAGES = sorted(path.name for path in TEXTS if path.parent == DOCS and not path.name.endswith(".ko.md"))
SWITCH = re.compile(r"\*\*\[(?:English|한국어)\]\([^)]+\)\*\*")
"""The link to the same page in the other language."""


@dataclass
class Section:
    """What a section holds besides its sentences. The comments in its code may be translated."""

    level: int
    heading: str = ""
    code: list[str] = field(default_factory=list)
    generated: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)
    commands: set[str] = field(default_factory=set)
    links: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)


def korean_name(page: str) -> str:
    return page.replace(".md", ".ko.md")


def sections_of(name: str) -> list[Section]:
    """Return the sections of a page. The first one is what stands before all headings, which is nothing."""
    text = BLOCK.sub(lambda found: found[1], SWITCH.sub("", TEXTS[DOCS / name]))
    parts = re.split(r"^(```\w*\n.*?^```)$", text, flags=re.MULTILINE | re.DOTALL)
    sections = [Section(level=0)]
    for number, part in enumerate(parts):
        if number % 2:
            sections[-1].code.append(re.sub(r" *# .*$", "", part, flags=re.MULTILINE))
            continue
        before, *headed = re.split(r"^(?=#+ )", part, flags=re.MULTILINE)
        read(before, sections[-1], DOCS / name)
        for each in headed:
            sections.append(Section(each.index(" "), each.partition("\n")[0]))
            read(each, sections[-1], DOCS / name)
    return sections


def read(text: str, section: Section, page: Path) -> None:
    """Add what a text without blocks of code holds."""
    section.generated += [name.removesuffix(KOREAN) for name in re.findall(r"<!-- generated: ([\w-]+) -->", text)]
    for table in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE):
        rows = [line.strip("|").split("|") for line in table.splitlines()]
        section.tables.append([[str(len(row)), *sorted(set(re.findall(r"`[^`]+`", "|".join(row))))] for row in rows])
    section.commands.update(re.findall(r"`([^`]+)`", text))
    section.links.update(place_of(target, page) for target in re.findall(r"\]\(([^)]+)\)", text))
    prose = re.sub(r"`[^`]+`|\]\([^)]+\)|<!--.*?-->", "", text)
    section.numbers.update(re.findall(r"\d+(?:[.,]\d+)*", prose))


def place_of(target: str, page: Path) -> str:
    """Return where a link of a page leads, in the same words for both languages: the number of a heading."""
    path, _, anchor = target.partition("#")
    linked = page.parent / path if path else page
    heading = str(anchors_of(TEXTS[linked]).index(anchor)) if anchor else ""
    return f"{path.replace('.ko.md', '.md')} {heading}"


def test_every_page_is_there_in_korean() -> None:
    assert len(PAGES) >= 9
    assert [page for page in PAGES if not (DOCS / korean_name(page)).is_file()] == []


@pytest.mark.parametrize("page", PAGES)
def test_a_korean_page_has_what_its_english_page_has(page: str) -> None:
    english, korean = sections_of(page), sections_of(korean_name(page))
    assert [section.level for section in english] == [section.level for section in korean]
    for section, translated in zip(english, korean, strict=True):
        assert section.code == translated.code, section.heading
        assert section.generated == translated.generated, section.heading
        assert section.tables == translated.tables, section.heading
        assert section.commands == translated.commands, section.heading
        assert section.links == translated.links, section.heading
        missing = section.numbers - translated.numbers  # Korean has figures where English has words
        assert not missing, section.heading


@pytest.mark.parametrize("page", PAGES)
def test_generated_tables_of_korean_pages_have_no_english_sentences(page: str) -> None:
    for found in BLOCK.finditer(TEXTS[DOCS / korean_name(page)]):
        assert found[2].endswith(KOREAN)
        text = re.sub(
            r"`[^`]+`|[Ff]ast forward", "", found[0].partition("\n")[2]
        )  # a slide of the lecture is called so
        assert re.findall(r"[a-z]{2,} [a-z]{2,}", text) == [], found[2]


@pytest.mark.parametrize("page", PAGES)
def test_a_korean_page_links_to_korean_pages(page: str) -> None:
    assert re.findall(r"\]\((\w+\.md)", SWITCH.sub("", TEXTS[DOCS / korean_name(page)])) == []
