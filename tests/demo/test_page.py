"""Tests of the demo page in a real browser."""

from __future__ import annotations

import asyncio
import io
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageDraw

from tests.helpers import start_zoo

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright, which is in .[dev]")
httpx = pytest.importorskip("httpx", reason="needs httpx, which is in .[test]")
pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="needs a Chromium: apt install chromium")

Points = list[tuple[float, float]]
ONE: Points = [(0.5, 0.15), (0.5, 0.85)]
ZERO: Points = [
    *((0.5, 0.15), (0.36, 0.22), (0.3, 0.4), (0.3, 0.6), (0.36, 0.78), (0.5, 0.85)),
    *((0.64, 0.78), (0.7, 0.6), (0.7, 0.4), (0.64, 0.22), (0.5, 0.15)),
]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    names = ("softmax", "deep_relu_xavier", "dropout_batchnorm")
    process = start_zoo("demo", *names, "--port", "0", ZOO_DATA=str(tmp_path_factory.mktemp("data")))
    assert process.stdout is not None
    line = process.stdout.readline()
    yield line.split()[2]
    process.terminate()
    try:
        process.communicate(timeout=20)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@pytest.fixture
def page(address: str) -> Iterator[Any]:
    """The open page. On teardown, checks that no other host was contacted and that no script failed."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        page = browser.new_page()
        urls: list[str] = []
        failures: list[str] = []
        page.on("request", lambda request: urls.append(request.url))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page
        browser.close()
    assert urls
    assert [url for url in urls if not url.startswith((address, "data:", "blob:"))] == []
    assert not failures


def draw(page: Any, points: Points) -> None:
    box = page.locator("#canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()


def wait_for_prediction(page: Any, digit: int) -> None:
    sync_api.expect(page.locator("#answer")).to_have_text(str(digit), timeout=20_000)
    sync_api.expect(page.locator("main")).to_have_attribute("aria-busy", "false", timeout=20_000)
    assert page.inner_text("#answer") == str(digit)


@pytest.mark.parametrize(("points", "digit"), [(ONE, 1), pytest.param(ZERO, 0, marks=pytest.mark.slow)])
def test_a_drawing_is_classified_by_all_members(page: Any, points: Points, digit: int) -> None:
    draw(page, points)
    wait_for_prediction(page, digit)
    for name in ("softmax", "deep_relu_xavier", "dropout_batchnorm"):
        row = page.locator(f"tr[data-member={name}]")
        assert row.locator(".answer").inner_text() == str(digit)
        probabilities = json.loads(row.locator(".bars").get_attribute("data-probabilities"))
        assert max(range(10), key=probabilities.__getitem__) == digit
        tallest = row.locator(".bars > span").nth(digit).locator("i").bounding_box()
        assert tallest["height"] > 5
    page.click("#clear")
    assert page.inner_text("#verdict") == "Draw something."
    assert not page.locator("#steps figure").count()
    assert not page.locator("#votes span").count()


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


def test_an_unchecked_member_makes_no_prediction(page: Any) -> None:
    page.locator("tr[data-member=softmax] input").uncheck()
    draw(page, ONE)
    wait_for_prediction(page, 1)
    assert page.locator("tr[data-member=softmax] .answer").inner_text() == ""
    assert "2 of 2 agree" in page.inner_text("#verdict")


def test_a_random_test_image_is_shown_with_its_label(page: Any) -> None:
    page.click("#random")
    sync_api.expect(page.locator("#verdict")).to_contain_text("labelled", timeout=20_000)
    assert page.locator("#votes span").count() == 10


def test_an_uploaded_picture_is_classified(page: Any, tmp_path: Path) -> None:
    image = Image.new("RGB", (400, 300), "white")
    ImageDraw.Draw(image).ellipse((140, 50, 260, 250), outline="navy", width=22)
    image.save(tmp_path / "zero.png")
    page.set_input_files("#upload", tmp_path / "zero.png")
    wait_for_prediction(page, 0)
    assert page.locator("#steps figcaption").all_inner_texts()[-1] == "what the networks see"
    (tmp_path / "text.png").write_text("no picture")
    page.set_input_files("#upload", tmp_path / "text.png")
    sync_api.expect(page.locator("#notes")).to_contain_text("it is no picture", timeout=20_000)


def test_a_digit_can_be_drawn_with_the_keyboard(page: Any) -> None:
    page.focus("#canvas")
    page.keyboard.press("Space")
    for _ in range(16):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Space")
    wait_for_prediction(page, 1)
    assert "7:" in page.locator("#votes").get_attribute("aria-label")


def test_the_page_fits_on_a_phone(page: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    draw(page, ONE)
    wait_for_prediction(page, 1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    last = page.locator("tr[data-member=softmax] td").last.bounding_box()
    assert last["x"] + last["width"] <= 390


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
