"""Tests of the page as an exhibit: the empty page, the order of members, cards, languages, accessibility."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.demo.browser import SEVEN, draw, opened_page, violations, wait_for_prediction
from zoo.demo import server
from zoo.demo.members import SLIDES, describe
from zoo.pretrained.registry import list_models, read_index

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright, which is in .[dev]")
pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")
STATIC = Path(server.__file__).parent / "static"
DOCS = Path(server.__file__).parents[2] / "docs"

DISSENT = {
    "answer": 7,
    "probabilities": [0.3, 0, 0, 0, 0, 0, 0, 0.7, 0, 0],
    "votes": [1, 0, 0, 0, 0, 0, 0, 2, 0, 0],
    "no_digit": {"score": 9, "limit": 5, "probably": True},
    "notes": ["It looks like 2 digits side by side, and only pictures of one are read right."],
    "seen": [0] * 784,
    "steps": [],
    "members": {
        "softmax": {"answer": 7, "probabilities": [0, 0, 0, 0, 0, 0, 0, 1, 0, 0], "milliseconds": 1},
        "deep_relu_xavier": {"answer": 7, "probabilities": [0.2, 0, 0, 0, 0, 0, 0, 0.8, 0, 0], "milliseconds": 1},
        "dropout_batchnorm": {"answer": 0, "probabilities": [0.7, 0, 0, 0, 0, 0, 0, 0.3, 0, 0], "milliseconds": 1},
    },
}


def names_in_order(page: Any) -> list[str]:
    names: list[str] = page.locator("#members tr").evaluate_all("rows => rows.map(row => row.dataset.member)")
    return names


def texts_of(name: str) -> dict[str, str]:
    content = (STATIC / "js" / "texts" / f"{name}.js").read_text(encoding="utf-8")
    body = content.partition("export const ")[2].partition("\n};")[0]
    return dict(re.findall(r'^  "?([\w.-]+)"?:\s+"(.*)",$', body, flags=re.MULTILINE))


def test_the_slides_are_those_of_the_lecture_and_in_its_order() -> None:
    text = (DOCS / "teach.md").read_text(encoding="utf-8")
    slides = [line.split(" | ")[0].strip("| ") for line in text.splitlines() if line.startswith("| ")]
    places = [slides.index(slide) for slide in SLIDES.values()]
    assert places == sorted(places)
    assert set(SLIDES) == set(list_models(pretrained=True))


def test_a_card_says_what_the_registry_knows() -> None:
    card, entry = describe("dropout"), read_index()["dropout"]
    assert card["test_errors"] == 186
    assert card["slide"] == "… & dropout, 0.9803"
    assert card["lecture_accuracy"] == 0.9803
    assert card["accuracy_mean"] == pytest.approx(1 - entry["errors_mean"] / 10_000)
    assert card["runs"] == len(entry["runs"])
    assert card["parameters"] == 1_195_018


def test_both_languages_have_the_same_texts_with_the_same_places() -> None:
    english, korean = texts_of("en"), texts_of("ko")
    assert len(english) > 50
    assert english.keys() == korean.keys()
    for name, text in english.items():
        assert set(re.findall(r"\{(\w+)\}", text)) == set(re.findall(r"\{(\w+)\}", korean[name])), name


def test_all_texts_that_the_page_names_exist() -> None:
    named = re.findall(r'data-(?:text|label)="([\w-]+)"', (STATIC / "index.html").read_text(encoding="utf-8"))
    for script in STATIC.rglob("*.js"):
        named += re.findall(r'\bt\("([\w-]+)"', script.read_text(encoding="utf-8"))
    assert len(named) > 40
    assert sorted(set(named) - texts_of("en").keys()) == []


@pytest.mark.slow
def test_an_empty_page_draws_a_digit_by_itself_until_it_is_touched(address: str) -> None:
    with opened_page(address, reduced_motion="no-preference") as page:
        sync_api.expect(page.locator("body")).to_have_class(re.compile("example"))
        inked = "document.getElementById('canvas').getContext('2d').getImageData(0, 0, 280, 280)"
        inked += ".data.filter((level, index) => index % 4 === 0 && level > 0).length"
        first = page.evaluate(inked)
        page.wait_for_timeout(500)
        assert page.evaluate(inked) > first
        wait_for_prediction(page, 3)
        assert page.get_attribute("#verdict", "aria-live") == "off"
        draw(page, SEVEN)
        wait_for_prediction(page, 7)
        assert "example" not in page.get_attribute("body", "class")
        assert page.get_attribute("#verdict", "aria-live") == "polite"


@pytest.mark.slow
def test_a_page_that_is_touched_and_cleared_at_once_stays_empty(page: Any) -> None:
    page.clock.install()  # so that the touch comes before the example, however slow the machine
    page.reload()
    page.wait_for_selector("body[data-ready]")
    page.click("#clear")
    page.clock.run_for(5_000)
    assert page.inner_text("#answer") == "?"
    assert "example" not in (page.get_attribute("body", "class") or "")


@pytest.mark.slow
def test_an_empty_page_does_not_move_where_motion_is_unwanted(page: Any) -> None:
    wait_for_prediction(page, 3)
    before = page.locator("#canvas").screenshot()
    page.wait_for_timeout(500)
    assert page.locator("#canvas").screenshot() == before


@pytest.mark.slow
def test_members_are_sorted_and_dissent_is_shown(page: Any) -> None:
    page.route("**/api/classify*", lambda route: route.fulfill(json=DISSENT))
    draw(page, SEVEN)
    wait_for_prediction(page, 7)
    lecture = ["softmax", "deep_relu_xavier", "dropout_batchnorm"]
    assert names_in_order(page) == lecture
    assert page.locator("tr.dissents").evaluate_all("rows => rows.map(row => row.dataset.member)") == lecture[2:]
    assert page.inner_text("tr.dissents .mark") == "says 0"
    page.select_option("#sort", "accuracy")
    assert names_in_order(page) == lecture[::-1]
    page.select_option("#sort", "dissent")
    assert names_in_order(page) == ["dropout_batchnorm", "softmax", "deep_relu_xavier"]
    page.select_option("#sort", "lecture")
    assert names_in_order(page) == lecture
    answer, dissent = (
        page.locator(f"tr[data-member={name}] .chosen").evaluate("cell => getComputedStyle(cell).backgroundColor")
        for name in (lecture[0], lecture[2])
    )
    assert answer != dissent
    assert "Probably no digit" in page.inner_text("#notes")
    assert "2 digits side by side" in page.inner_text("#notes")


@pytest.mark.slow
@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_a_name_opens_the_card_of_the_member(page: Any, way: str) -> None:
    name = page.locator("tr[data-member=dropout_batchnorm] .name")
    card = page.locator("#card")
    if way == "mouse":
        name.click()
    else:
        name.focus()
        page.keyboard.press("Enter")
    text, known = card.inner_text(), describe("dropout_batchnorm")
    accuracy = f"{known['accuracy_mean']:.4f} ± {known['accuracy_sd']:.4f}"
    for part in ("784-512×4-10", "156 of 10,000", "batch norm, short code", accuracy, "Ioffe", "zoo info"):
        assert part in text
    assert violations(page) == []
    if way == "mouse":
        page.mouse.click(5, 5)
    else:
        page.keyboard.press("Escape")
    assert not card.is_visible()
    assert name.evaluate("button => button === document.activeElement")


@pytest.mark.slow
def test_the_page_speaks_korean(address: str) -> None:
    with opened_page(address, locale="ko-KR") as page:
        page.route("**/api/classify*", lambda route: route.fulfill(json=DISSENT))
        draw(page, SEVEN)
        wait_for_prediction(page, 7)
        assert page.get_attribute("html", "lang") == "ko"
        assert "3개 중 2개가 같은 답" in page.inner_text("#verdict")
        assert "숫자 2개가 나란히" in page.inner_text("#notes")
        assert "숫자가 아닌 것 같습니다" in page.inner_text("#notes")
        page.click("tr[data-member=softmax] .name")
        assert "은닉층 없는" in page.inner_text("#card")
        page.keyboard.press("Escape")
        page.click("#language")
        assert "2 of 3 agree" in page.inner_text("#verdict")
        page.reload()
        page.wait_for_selector("body[data-ready]")
        assert page.get_attribute("html", "lang") == "en"


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_axe_finds_no_violation(address: str, scheme: str, width: int) -> None:
    with opened_page(address, color_scheme=scheme, viewport={"width": width, "height": 900}) as page:
        page.route("**/api/classify*", lambda route: route.fulfill(json=DISSENT))
        draw(page, SEVEN)
        wait_for_prediction(page, 7)
        assert violations(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.click("#none")
        assert violations(page) == []


@pytest.mark.slow
def test_a_digit_that_is_small_for_the_pen_has_a_note(page: Any) -> None:
    small = [(0.44, 0.44), (0.56, 0.44), (0.5, 0.58)]
    draw(page, small)
    sync_api.expect(page.locator("#notes")).to_contain_text("small for this pen")
    page.click("#clear")
    page.locator("#width").fill("8")
    draw(page, small)
    wait_for_prediction(page, 7)
    assert page.inner_text("#notes") == ""
