"""Hooks of MkDocs. The site is built from a folder with the pages in ``docs/`` and those that are generated."""

from __future__ import annotations

import functools
import re
import shutil
import sys
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

SOURCE = Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(SOURCE))  # MkDocs imports this file by its path

from docs.site import command_pages, member_cards, notebooks, python_pages  # noqa: E402
from docs.site.korean_cards import korean_card  # noqa: E402

PAGES = SOURCE / "build" / "pages"
"""The folder of all pages of the site."""
MOVED = {
    "CONTRIBUTING.md": "contribute.md",
    "CHANGELOG.md": "changes.md",
    "README.md": "index.md",
    "members.md": "members/index.md",
    "members.ko.md": "members/index.ko.md",
}
"""Where some files are on the site."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Write all pages, and add the cards of the members to the navigation."""
    _write_pages()
    config.docs_dir = str(PAGES)
    assert config.nav is not None
    for entry in config.nav:
        if isinstance(entry, dict) and "Members" in entry:
            entry["Members"] = ["members/index.md", *({name: f"members/{name}.md"} for name in member_cards.names())]
    return config


@functools.cache  # a site in two languages is built twice
def _write_pages() -> None:
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(
        SOURCE / "docs",
        PAGES,
        ignore=shutil.ignore_patterns("*.py", "__pycache__", "data", "notebooks", "site", "members*.md"),
    )
    cards = member_cards.cards()
    generated: dict[str, str | bytes] = {
        "contribute.md": (SOURCE / "CONTRIBUTING.md").read_text(encoding="utf-8"),
        "changes.md": (SOURCE / "CHANGELOG.md").read_text(encoding="utf-8"),
        **{
            f"members/index{language}.md": member_cards.overview(
                (SOURCE / "docs" / f"members{language}.md").read_text(encoding="utf-8")
            )
            for language in ("", ".ko")
        },
        **{f"members/{name}.md": text for name, text in cards.items()},
        **{f"members/{name}.ko.md": korean_card(text) for name, text in cards.items()},
        "reference/commands.md": command_pages.commands(),
        "reference/commands.ko.md": command_pages.commands(is_korean=True),
        "reference/configs.md": command_pages.configs(),
        "reference/configs.ko.md": command_pages.configs(is_korean=True),
        "reference/python.md": python_pages.python(),
        "reference/python.ko.md": python_pages.KOREAN,
        **notebooks.pages(),
    }
    for place, content in generated.items():
        (PAGES / place).parent.mkdir(parents=True, exist_ok=True)
        (PAGES / place).write_bytes(content if isinstance(content, bytes) else content.encode())
    for path in PAGES.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r" \*\*\[(English|한국어)\]\([^)]+\)\*\*", "", text)  # the site has a switch
        path.write_text(with_moved_links(text, path.relative_to(PAGES).as_posix()), encoding="utf-8")


def with_moved_links(markdown: str, place: str) -> str:
    """Let links lead to the pages of the site, and leave out those to files that are not on it.

    Args:
        markdown: A page.
        place: Where the page is on the site.
    """

    def moved(found: re.Match[str]) -> str:
        text, (target, hash_sign, anchor) = found[1], found[2].partition("#")
        if ":" in target or not target:
            return found[0]
        target = target.removeprefix("docs/")
        target = MOVED.get(target.removeprefix("../"), target)
        if not (PAGES / place).parent.joinpath(target).exists():
            target = target.removeprefix("../")
            target = "../" * place.count("/") + target
        if not (PAGES / place).parent.joinpath(target).is_file():
            return text
        return f"[{text}]({target}{hash_sign}{anchor})"

    return re.sub(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)", moved, markdown)
