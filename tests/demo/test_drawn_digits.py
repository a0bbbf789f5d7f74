"""Digits and other things that a script draws on the page with the mouse, read by all members."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.demo.browser import Points, demo_server, draw, opened_page
from tests.drawn_digits import digit_strokes

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright, which is in .[dev]")
pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

Place = Callable[[float, float], tuple[float, float]]


def placed(size: float, x: float = 0.5, y: float = 0.5, degrees: float = 0.0, stretch: float = 1.0) -> Place:
    """Return a map from the unit square to a square of a size around a center, turned clockwise."""
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))

    def place(across: float, down: float) -> tuple[float, float]:
        across, down = (across - 0.5) * size * stretch, (down - 0.5) * size
        return x + across * cosine - down * sine, y + across * sine + down * cosine

    return place


WAYS: dict[str, tuple[int, Place, int]] = {
    "large": (0, placed(0.75), 20),
    "another shape": (1, placed(0.75), 20),
    "small": (0, placed(0.3), 14),
    "tiny": (0, placed(0.18), 8),
    "tilted to the right": (0, placed(0.65, degrees=18), 20),
    "tilted to the left": (1, placed(0.65, degrees=-18), 20),
    "in a corner, thin": (0, placed(0.4, 0.25, 0.28), 8),
    "wide, thick": (1, placed(0.7, stretch=1.3), 30),
}
"""A name to the variant of the strokes, their place, and the width of the pen."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The page with all members."""
    with demo_server(tmp_path_factory.mktemp("data")) as address, opened_page(address) as page:
        yield page


def answer(page: Any, strokes: list[Points], place: Place, pen: int = 20) -> tuple[str, str]:
    """Clear the page, draw, and return the answer and the sentences beside it."""
    page.click("#clear")
    page.locator("#width").evaluate(
        "(range, value) => { range.value = value; range.dispatchEvent(new Event('input')); }", pen
    )
    for stroke in strokes:
        draw(page, [place(x, y) for x, y in stroke])
    sync_api.expect(page.locator("#answer")).not_to_have_text("?", timeout=20_000)
    page.wait_for_timeout(150)  # the last stroke is sent
    sync_api.expect(page.locator("main")).to_have_attribute("aria-busy", "false", timeout=20_000)
    return page.inner_text("#answer"), f"{page.inner_text('#verdict')} {page.inner_text('#notes')}".strip()


def test_nearly_all_digits_are_read_right(page: Any) -> None:
    wrong = []
    for name, (variant, place, pen) in WAYS.items():
        for digit in range(10):
            found, said = answer(page, digit_strokes(digit, variant), place, pen)
            if found != str(digit):
                wrong.append(f"{digit} {name}: {found}. {said}")
    print(f"{80 - len(wrong)} of 80 read right", *wrong, sep="\n")
    assert len(wrong) <= 8, "\n".join(wrong)


LETTER_A: list[Points] = [[(0.2, 0.95), (0.5, 0.05), (0.8, 0.95)], [(0.33, 0.6), (0.67, 0.6)]]


THREE_AND_FIVE: list[Points] = [
    *([(0.5 * x, y) for x, y in stroke] for stroke in digit_strokes(3, 0)),
    *([(0.42 + 0.5 * x, y) for x, y in stroke] for stroke in digit_strokes(5, 0)),
]
"""Two digits that touch."""


@pytest.mark.parametrize(
    "strokes",
    [
        pytest.param(LETTER_A, id="a letter A"),
        pytest.param(THREE_AND_FIVE, id="3 and 5 that touch"),
    ],
)
def test_what_is_no_single_digit_has_a_note_or_no_sure_answer(page: Any, strokes: list[Points]) -> None:
    found, said = answer(page, strokes, placed(0.7))
    print(found, said)
    sure = re.match(r"(\d+) % sure", said)
    assert sure is not None
    assert "no digit" in said or "side by side" in said or int(sure[1]) < 90


def test_a_page_that_is_blank_again_says_nothing_of_the_digits_before(page: Any) -> None:
    for digit in (4, 7):
        answer(page, digit_strokes(digit, 0), placed(0.7))
    page.click("#clear")
    page.wait_for_timeout(500)
    assert page.inner_text("#answer") == "?"
    assert page.inner_text("#verdict") == "Draw something."
    assert page.inner_text("#notes") == ""
