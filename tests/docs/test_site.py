"""The documentation site: it is built strictly, loads nothing from elsewhere, and can be used by all."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from zoo.pretrained.registry import list_models

pytest.importorskip("mkdocs", reason="needs MkDocs, which is in .[docs]")
sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright, which is in .[dev]")
axe_api = pytest.importorskip("axe_playwright_python.sync_playwright", reason="needs axe, which is in .[dev]")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [pytest.mark.slow, pytest.mark.skipif(BROWSER is None, reason="needs a Chromium: apt install chromium")]
SOURCE = Path(__file__).parent.parent.parent
KINDS = ["index.html", "teach.html", "members/index.html", "members/residual.html", "reference/python.html"]
"""A page of each kind."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    done = subprocess.run(
        command, cwd=SOURCE, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield browser
        browser.close()


def test_every_page_is_there_in_both_languages_and_loads_nothing_from_elsewhere(site: Path) -> None:
    pages = {path.relative_to(site).as_posix() for path in site.rglob("*.html")}
    assert {*KINDS, *(f"ko/{page}" for page in KINDS)} <= pages
    assert {f"members/{name}.html" for name in list_models()} <= pages
    for page in pages:
        text = (site / page).read_text(encoding="utf-8")
        loaded = re.findall(r'<(?:script|img|iframe|source)[^>]*\ssrc="([^"]+)"|<link[^>]*\shref="([^"]+)"', text)
        assert not [url for urls in loaded for url in urls if url.startswith(("http:", "https:", "//"))], page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_pages_of_each_kind_are_accessible_and_fit_the_screen(
    address: str, browser: Any, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    elsewhere: list[str] = []
    page.on("request", lambda request: elsewhere.append(request.url) if address not in request.url else None)
    for kind in [*KINDS, "measurements.html", "ko/index.html", "ko/train.html"]:
        page.goto(f"{address}/{kind}")
        page.wait_for_timeout(300)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, kind
        found = axe_api.Axe().run(page).response["violations"]
        assert [(each["id"], [node["html"][:200] for node in each["nodes"]]) for each in found] == [], kind
    assert elsewhere == []
    context.close()


@pytest.mark.parametrize(
    ("start", "word", "found"),
    [
        ("index.html", "temperature", "use.html"),
        ("ko/index.html", "드롭아웃", "ko/teach.html"),
        ("ko/index.html", "학습률", "ko/train.html"),  # with a particle in "학습률은"
        ("ko/index.html", "persistent", "ko/train.html"),  # in "발산(persistent contrastive divergence)"
    ],
)
@pytest.mark.parametrize("way", ["served", "opened as files"])
def test_the_search_finds_a_word(
    site: Path, address: str, browser: Any, way: str, start: str, word: str, found: str
) -> None:
    root = address if way == "served" else site.as_uri()
    page = browser.new_page()
    page.goto(f"{root}/{start}")
    page.wait_for_timeout(500)
    page.locator("input.md-search__input").fill(word)
    page.keyboard.press("End")  # the page listens to keys
    result = f'.md-search-result__link[href*="{root}/{found}"]'
    page.wait_for_selector(result, timeout=20_000, state="attached")
    page.close()


def test_korean_lines_break_between_words(address: str, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 900})
    page.goto(f"{address}/ko/train.html")
    broken = page.evaluate("""() => {
      const broken = [];
      for (const part of document.querySelectorAll(".md-content p, .md-content li, .md-content td")) {
        const texts = document.createTreeWalker(part, NodeFilter.SHOW_TEXT);
        while (texts.nextNode()) {
          const text = texts.currentNode.data;
          for (const word of text.matchAll(/[가-힣]+/g)) {
            const range = document.createRange();
            range.setStart(texts.currentNode, word.index);
            range.setEnd(texts.currentNode, word.index + word[0].length);
            if (new Set([...range.getClientRects()].map((box) => Math.round(box.top))).size > 1) broken.push(word[0]);
          }
        }
      }
      return broken;
    }""")
    assert broken == []
    page.close()
