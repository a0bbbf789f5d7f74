"""Tests of the demo page in a real browser: drawing, the answer, and each member's."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.demo.browser import MEMBERS, ONE, SEVEN, ZERO, Points, draw, draw_by_touch, tap, wait_for_prediction

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright, which is in .[dev]")
httpx = pytest.importorskip("httpx", reason="needs httpx, which is in .[test]")
pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")


def row_of(page: Any, name: str) -> Any:
    return page.locator(f"tr[data-member={name}]")


@pytest.mark.parametrize(("points", "digit"), [(ONE, 1), pytest.param(ZERO, 0, marks=pytest.mark.slow)])
def test_a_drawing_is_classified_by_all_members(page: Any, points: Points, digit: int) -> None:
    draw(page, points)
    wait_for_prediction(page, digit)
    assert "3 of 3 agree" in page.inner_text("#verdict")
    for name in MEMBERS:
        row = row_of(page, name)
        assert row.get_attribute("data-answer") == str(digit)
        probabilities = json.loads(row.get_attribute("data-probabilities"))
        assert max(range(10), key=probabilities.__getitem__) == digit
        assert row.locator(".cell").nth(digit).inner_text() == str(round(100 * probabilities[digit]))
    assert page.locator("#votes .best i").bounding_box()["height"] > 5
    page.click("#clear")
    assert page.inner_text("#verdict") == "Draw something."
    assert page.inner_text("#answer") == "?"
    assert page.locator("#votes .best").count() == 0
    assert page.locator("#members .cell").all_inner_texts() == [""] * 30
    page.click("#undo")
    wait_for_prediction(page, digit)


@pytest.mark.parametrize("status", [pytest.param(429, marks=pytest.mark.slow), 503])
def test_a_busy_server_is_asked_again(page: Any, status: int) -> None:
    refusals = 2

    def refuse(route: Any) -> None:
        nonlocal refusals
        refusals -= 1
        if refusals < 0:
            route.continue_()
        else:
            route.fulfill(status=status, content_type="application/json", body='{"error": "Too many."}')

    page.route("**/api/classify*", refuse)
    draw(page, ONE)
    wait_for_prediction(page, 1)
    assert page.inner_text("#notes") == ""
    assert refusals < 0


def test_only_members_that_are_chosen_are_asked(page: Any) -> None:
    draw(page, ONE)
    wait_for_prediction(page, 1)
    row_of(page, "softmax").locator("input").uncheck()
    sync_api.expect(page.locator("#verdict")).to_contain_text("2 of 2 agree")
    assert row_of(page, "softmax").get_attribute("data-answer") is None
    row_of(page, "dropout_batchnorm").locator("input").uncheck()
    sync_api.expect(page.locator("#verdict")).to_contain_text("Only deep_relu_xavier is asked")
    page.click("#none")
    assert "No member is asked" in page.inner_text("#notes")
    assert page.inner_text("#answer") == "?"
    assert page.inner_text("#verdict") == ""
    page.click("#all")
    wait_for_prediction(page, 1)


@pytest.mark.slow
def test_no_answer_stays_beside_an_error(page: Any) -> None:
    draw(page, ONE)
    wait_for_prediction(page, 1)
    page.route("**/api/classify*", lambda route: route.abort())
    draw(page, SEVEN)
    sync_api.expect(page.locator("#notes")).to_contain_text("The server does not answer")
    assert page.inner_text("#answer") == "?"
    assert page.inner_text("#verdict") == ""
    assert page.locator("#members .cell").all_inner_texts() == [""] * 30
    page.unroute("**/api/classify*")
    page.route(
        "**/api/classify*",
        lambda route: route.fulfill(status=429, content_type="application/json", body='{"error": "Too many."}'),
    )
    draw(page, [(0.5, 0.5), (0.55, 0.5)])
    sync_api.expect(page.locator("#notes")).to_have_text("Too many.", timeout=10_000)
    page.unroute("**/api/classify*")
    sync_api.expect(page.locator("#notes")).to_have_text("", timeout=10_000)
    sync_api.expect(page.locator("#verdict")).to_contain_text("agree")


def test_nothing_moves_when_there_is_a_note(page: Any) -> None:
    places = ["#canvas", "#votes", ".heatmap", "#tabs"]

    def boxes() -> list[Any]:
        return [page.locator(place).bounding_box() for place in places]

    before = boxes()
    row_of(page, "softmax").locator("input").uncheck()
    draw(page, ONE)
    wait_for_prediction(page, 1)
    assert boxes() == before
    page.evaluate("document.getElementById('notes').innerHTML = '<span>' + 'A long note. '.repeat(60) + '</span>'")
    assert boxes() == before
    page.click("#none")
    assert boxes() == before


@pytest.mark.slow
def test_a_random_test_image_is_shown_with_its_label(page: Any) -> None:
    page.click("#random")
    sync_api.expect(page.locator("#verdict")).to_contain_text("labelled", timeout=20_000)
    text = page.inner_text("#verdict")
    row_of(page, "softmax").locator("input").uncheck()
    sync_api.expect(page.locator("#verdict")).to_contain_text("of 2 agree")
    assert text.partition("Test image")[2] == page.inner_text("#verdict").partition("Test image")[2]


def test_an_uploaded_picture_is_classified(page: Any, tmp_path: Path) -> None:
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).ellipse((140, 50, 260, 250), outline="navy", width=22)
    image.save(tmp_path / "zero.png")
    page.set_input_files("#upload", tmp_path / "zero.png")
    wait_for_prediction(page, 0)
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files("#upload", tmp_path / "text.png")
    sync_api.expect(page.locator("#notes")).to_contain_text("it is no picture", timeout=20_000)
    assert page.inner_text("#answer") == "?"


def test_a_digit_can_be_drawn_with_the_keyboard(page: Any) -> None:
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    cursor = page.locator("#cursor")
    assert cursor.is_visible()
    start = cursor.bounding_box()
    page.keyboard.press("Space")
    assert "down" in cursor.get_attribute("class")
    for _ in range(14):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    wait_for_prediction(page, 1)
    assert cursor.bounding_box()["y"] > start["y"] + 100
    assert "7:" in page.locator("#votes").get_attribute("aria-label")
    page.keyboard.press("Backspace")
    assert page.inner_text("#answer") == "?"


@pytest.mark.slow
def test_the_pen_has_a_width(page: Any) -> None:
    count = "[...document.getElementById('canvas').getContext('2d').getImageData(0, 0, 280, 280).data]"
    count += ".filter((level, index) => index % 4 === 0 && level > 0).length"
    inked = []
    for width in ("8", "36"):
        page.click("#clear")
        page.locator("#width").fill(width)
        draw(page, ONE)
        inked.append(page.evaluate(count))
    assert 3 * inked[0] < inked[1] < 6 * inked[0]


@pytest.mark.slow
def test_the_page_fits_on_a_phone_and_is_drawn_on_with_a_finger(phone: Any) -> None:
    draw_by_touch(phone, ONE)
    wait_for_prediction(phone, 1)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    canvas, answer = (phone.locator(place).bounding_box() for place in ("#canvas", "#answer"))
    assert canvas["y"] + canvas["height"] <= answer["y"]
    assert answer["y"] + answer["height"] <= 844
    last = row_of(phone, "softmax").locator(".cell").last.bounding_box()
    assert last["x"] + last["width"] <= 390
    tap(row_of(phone, "softmax").locator(".name"), "document.getElementById('card').open")


@pytest.mark.slow
def test_each_of_many_simultaneous_requests_gets_a_response(address: str) -> None:
    """Tests uvicorn too: beyond its own limit it sends no JSON error."""
    file = io.BytesIO()
    image = Image.new("L", (100, 100), "white")
    ImageDraw.Draw(image).line((50, 20, 50, 80), fill="black", width=12)
    image.save(file, "png")

    async def send_all() -> list[Any]:
        limits = httpx.Limits(max_connections=500)
        async with httpx.AsyncClient(timeout=60, limits=limits) as client:
            requests = (client.post(f"{address}api/classify", content=file.getvalue()) for _ in range(500))
            return await asyncio.gather(*requests)

    responses = asyncio.run(send_all())
    assert {response.status_code for response in responses} == {200, 429}
    assert all(set(response.json()) & {"answer", "error"} for response in responses)
