"""The demo page in a real browser: opening it, drawing on it, and what a person sees."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import start_zoo

MEMBERS = ("softmax", "deep_relu_xavier", "dropout_batchnorm")
BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

Points = list[tuple[float, float]]
ONE: Points = [(0.5, 0.15), (0.5, 0.85)]
SEVEN: Points = [(0.3, 0.2), (0.7, 0.2), (0.45, 0.85)]
ZERO: Points = [
    *((0.5, 0.15), (0.36, 0.22), (0.3, 0.4), (0.3, 0.6), (0.36, 0.78), (0.5, 0.85)),
    *((0.64, 0.78), (0.7, 0.6), (0.7, 0.4), (0.64, 0.22), (0.5, 0.15)),
]


@contextmanager
def demo_server(data: Path, *members: str) -> Iterator[str]:
    """Start the demo, and yield its address.

    Args:
        data: The folder for what is downloaded.
        *members: The members; none means all.
    """
    process = start_zoo("demo", *members, "--port", "0", ZOO_DATA=str(data))
    assert process.stdout is not None
    try:
        yield process.stdout.readline().split()[2]
    finally:
        process.terminate()
        try:
            process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            raise


@contextmanager
def opened_page(address: str, **context: Any) -> Iterator[Any]:
    """Open the page, and check at the end that it contacted no other host and that no script failed.

    Args:
        address: The address of the server.
        **context: Arguments of Playwright's ``new_context``.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright, which is in .[dev]")
    if BROWSER is None:
        pytest.skip("needs a Chromium: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        # Without motion an empty page draws its example at once.
        settings = {"locale": "en-US", "reduced_motion": "reduce", "viewport": {"width": 1280, "height": 800}}
        page = browser.new_context(**{**settings, **context}).new_page()
        urls: list[str] = []
        failures: list[str] = []
        page.on("request", lambda request: urls.append(request.url))
        page.on("pageerror", lambda error: failures.append(str(error)))
        page.on("console", lambda message: failures.append(message.text) if "Security" in message.text else None)
        page.goto(address)
        page.wait_for_selector("body[data-ready]")
        yield page
        browser.close()
    assert urls
    assert [url for url in urls if not url.startswith((address, "data:", "blob:"))] == []
    assert not failures


def draw(page: Any, points: Points) -> None:
    """Draw with the mouse, at points in the unit square."""
    box = page.locator("#canvas").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=3)
    page.mouse.up()


def draw_by_touch(page: Any, points: Points) -> None:
    """Draw with a finger, at points in the unit square."""
    box = page.locator("#canvas").bounding_box()
    places = [{"x": box["x"] + x * box["width"], "y": box["y"] + y * box["height"]} for x, y in points]
    session = page.context.new_cdp_session(page)
    for kind, touched in [
        ("touchStart", places[:1]),
        *(("touchMove", [place]) for place in places[1:]),
        ("touchEnd", []),
    ]:
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": touched})
    session.detach()


def tap(target: Any, effect: str) -> None:
    """Tap until it has an effect, since Chromium takes a tap on a busy machine for a long press, which does nothing.

    Args:
        target: What is tapped.
        effect: A condition in JavaScript.
    """
    from playwright.sync_api import TimeoutError

    for _ in range(10):
        target.tap()
        try:
            target.page.wait_for_function(f"() => {effect}", timeout=3000)
            return
        except TimeoutError:
            continue
    raise AssertionError(f"After ten taps it is not true that {effect}")


def wait_for_prediction(page: Any, digit: int) -> None:
    """Wait until a digit is shown as the answer to everything that was drawn."""
    from playwright.sync_api import expect

    expect(page.locator("#answer")).to_have_text(str(digit), timeout=20_000)
    expect(page.locator("main")).to_have_attribute("aria-busy", "false", timeout=20_000)
    assert page.inner_text("#answer") == str(digit)


def violations(page: Any) -> list[str]:
    """Return what axe-core finds wrong with the page as it is."""
    found = importlib.util.find_spec("axe_playwright_python")
    if found is None or found.origin is None:
        pytest.skip("needs axe-playwright-python, which is in .[dev]")
    page.evaluate(Path(found.origin).with_name("axe.min.js").read_text(encoding="utf-8"))
    report = page.evaluate("axe.run()")
    return [
        f"{each['id']}: {each['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:200]}"
        for each in report["violations"]
        for node in each["nodes"]
    ]
