"""Tests of the page's panels in a real browser, by mouse, touch and keyboard."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.demo.browser import ONE, SEVEN, draw, draw_by_touch, tap, violations, wait_for_prediction

sync_api = pytest.importorskip("playwright.sync_api", reason="needs Playwright, which is in .[dev]")
pytest.importorskip("uvicorn", reason="needs uvicorn, which is in .[demo]")
pytestmark = pytest.mark.slow
TABS = ("inside", "saliency", "fool", "duel", "dream", "train", "no_digit", "steps")


def panel_of(page: Any, name: str) -> Any:
    return page.locator(f"#panel-{name}")


def open_panel(page: Any, name: str) -> Any:
    page.click(f"#tab-{name}")
    panel = panel_of(page, name)
    sync_api.expect(panel).to_be_visible()
    return panel


def wait_for_shown(panel: Any, least: int = 1) -> None:
    """Wait until the panel has shown so many answers."""
    panel.page.wait_for_function(
        "([id, least]) => Number(document.getElementById(id).dataset.shown ?? 0) >= least",
        arg=[panel.get_attribute("id"), least],
        timeout=20_000,
    )


def drawn_on(canvas: Any) -> bool:
    """Return whether a canvas shows anything."""
    found: bool = canvas.evaluate(
        "canvas => canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data"
        ".some((level, index) => index % 4 < 3 && level > 30)"
    )
    return found


def tap_tab(page: Any, name: str) -> None:
    tap(page.locator(f"#tab-{name}"), f"document.getElementById('tab-{name}').ariaSelected === 'true'")


def start(page: Any) -> None:
    draw(page, SEVEN)
    wait_for_prediction(page, 7)


def test_the_tabs_are_reached_by_keyboard(page: Any) -> None:
    page.focus("#tab-inside")
    for name in (*TABS[1:], TABS[0]):
        page.keyboard.press("ArrowRight")
        assert page.get_attribute(f"#tab-{name}", "aria-selected") == "true"
        assert page.locator("[role=tabpanel]:visible").get_attribute("id") == f"panel-{name}"
        assert page.evaluate("document.activeElement.id") == f"tab-{name}"
    page.keyboard.press("End")
    assert page.get_attribute("#tab-steps", "aria-selected") == "true"


def test_inside_follows_the_drawing_and_the_member(page: Any) -> None:
    panel = open_panel(page, "inside")
    start(page)
    wait_for_shown(panel)
    panel.locator("select").select_option("deep_relu_xavier")
    sync_api.expect(panel.locator("figure")).to_have_count(3)
    captions = panel.locator("figcaption").all_inner_texts()
    assert captions[0].startswith("Layer 1: 256 units")
    assert captions[-1].startswith("Output: 7")
    assert all(drawn_on(canvas) for canvas in panel.locator("canvas").all())
    page.click("#clear")
    draw(page, ONE)
    sync_api.expect(panel.locator("figcaption").last).to_contain_text("Output: 1")
    panel.locator("select").select_option("softmax")
    sync_api.expect(panel.locator("figcaption").first).to_contain_text("No hidden layer")
    assert violations(page) == []
    page.click("#clear")
    sync_api.expect(panel).to_contain_text("Draw a digit first.")


def test_a_card_leads_inside_its_member(phone: Any) -> None:
    draw_by_touch(phone, SEVEN)
    wait_for_prediction(phone, 7)
    tap(phone.locator("tr[data-member=dropout_batchnorm] .name"), "document.getElementById('card').open")
    tap(phone.locator("#card-panels button").first, "!document.getElementById('card').open")
    panel = panel_of(phone, "inside")
    sync_api.expect(panel.locator("figure")).to_have_count(5)
    assert panel.locator("select").input_value() == "dropout_batchnorm"
    assert violations(phone) == []
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_saliency_explains_the_answer_or_another_digit(page: Any) -> None:
    panel = open_panel(page, "saliency")
    start(page)
    wait_for_shown(panel)
    panel.locator("select").first.select_option("deep_relu_xavier")
    sync_api.expect(panel.locator(".said-of")).to_contain_text("deep_relu_xavier answers 7. The probability of 7")
    assert panel.locator("canvas").count() == 3
    assert all(drawn_on(canvas) for canvas in panel.locator("canvas").all())
    panel.locator("select").last.focus()
    page.keyboard.type("2")
    sync_api.expect(panel.locator(".said-of")).to_contain_text("The probability of 2")
    assert violations(page) == []


def test_a_member_is_fooled(page: Any) -> None:
    start(page)
    panel = open_panel(page, "fool")
    panel.locator("select").first.select_option("deep_relu_xavier")
    panel.locator("select").last.select_option("2")
    panel.locator(".go").click()
    wait_for_shown(panel)
    assert "deep_relu_xavier takes this 7 for a 2" in panel.locator(".said-of").inner_text()
    assert panel.locator(".distance").count() == 10
    assert "its answer" in panel.locator(".distance").nth(7).inner_text()
    assert "of the 2 others" in panel.inner_text() or "None of the 2 others" in panel.inner_text()
    assert violations(page) == []
    draw(page, [(0.5, 0.5), (0.6, 0.5)])
    sync_api.expect(panel.locator(".distance")).to_have_count(0)  # it was about another drawing


def test_a_member_is_fooled_by_touch(phone: Any) -> None:
    draw_by_touch(phone, SEVEN)
    wait_for_prediction(phone, 7)
    tap_tab(phone, "fool")
    panel = panel_of(phone, "fool")
    tap(panel.locator(".go"), "document.getElementById('panel-fool').dataset.shown > 0")
    assert "takes this 7 for a" in panel.locator(".said-of").inner_text()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390


def test_a_duel_shows_images_that_only_one_reads_right(page: Any) -> None:
    panel = open_panel(page, "duel")
    first, second = panel.locator("select").all()
    first.select_option("softmax")
    second.select_option("deep_relu_xavier")
    sync_api.expect(panel.locator(".said-of")).to_contain_text("10,000 of 10,000", timeout=60_000)
    assert "unlikely to be chance" in panel.locator(".said-of").inner_text()
    sync_api.expect(panel.locator(".thumb")).to_have_count(60, timeout=20_000)
    assert violations(page) == []
    thumb = panel.locator(".thumbs").last.locator(".thumb").first
    wrong = thumb.inner_text()
    thumb.focus()
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#verdict")).to_contain_text("Test image")
    sync_api.expect(page.locator("tr[data-member=softmax]")).to_have_attribute("data-answer", wrong)
    assert page.get_attribute("tr[data-member=deep_relu_xavier]", "data-answer") != wrong
    second.select_option("softmax")
    sync_api.expect(panel).to_contain_text("Choose two different members.")


def test_a_hard_image_is_one_of_the_duel(phone: Any) -> None:
    tap_tab(phone, "duel")
    panel = panel_of(phone, "duel")
    wait_for_shown(panel)
    sync_api.expect(panel.locator(".thumb").first).to_be_visible()
    tap(
        panel.locator("button", has_text="A hard one"),
        "document.getElementById('verdict').innerText.includes('Test image')",
    )


@pytest.mark.parametrize("way", ["mouse", "keyboard"])
def test_a_dream_runs_and_pauses(page: Any, way: str) -> None:
    start(page)
    panel = open_panel(page, "dream")
    go = panel.locator(".go")
    assert "Step 0" in panel.inner_text()

    def press() -> None:
        if way == "mouse":
            go.click()
        else:
            go.focus()
            page.keyboard.press("Space")

    press()
    wait_for_shown(panel, 12)
    press()
    assert go.inner_text() == "Dream"
    paused = panel.locator(".said-of").inner_text()
    page.wait_for_timeout(400)
    assert panel.locator(".said-of").inner_text() == paused
    assert int(paused.split()[1].rstrip(":")) >= 12
    assert panel.locator(".film figcaption").all_inner_texts()[:4] == ["1", "2", "5", "10"]
    assert drawn_on(panel.locator(".stage"))
    assert violations(page) == []
    panel.locator("button", has_text="From the drawing again").click()
    assert "Step 0" in panel.inner_text()


def test_a_dream_of_a_digit_needs_no_drawing_and_follows_the_choice(page: Any) -> None:
    start(page)
    page.click("#clear")  # an empty page that was never drawn on draws an example by itself
    panel = open_panel(page, "dream")
    go, choice = panel.locator(".go"), panel.locator("select")
    assert go.is_disabled()
    choice.select_option("3")
    assert "Step 0: nothing drawn" in panel.inner_text()
    go.click()
    wait_for_shown(panel, 12)
    choice.select_option("8")  # another digit is another dream
    assert "Step 0" in panel.inner_text()
    assert go.inner_text() == "Dream"
    go.click()
    wait_for_shown(panel, 24)
    go.click()
    assert drawn_on(panel.locator(".stage"))
    assert violations(page) == []
    choice.select_option("")
    assert go.is_disabled()


def test_each_request_of_a_dream_begins_where_the_last_one_ended(page: Any) -> None:
    begun: list[bytes] = []
    ended: list[bytes] = []

    def answer(route: Any) -> None:
        begun.append(route.request.post_data_buffer)
        page.wait_for_timeout(300)  # a slow server, while the page goes on with the steps that it has
        response = route.fetch()
        ended.append(base64.b64decode(response.json()["state"]))
        route.fulfill(response=response)

    start(page)
    panel = open_panel(page, "dream")
    page.route("**/api/dream*", answer)
    panel.locator(".go").click()
    wait_for_shown(panel, 45)
    panel.locator(".go").click()
    assert len(ended) >= 4
    assert begun[1 : len(ended)] == ended[: len(begun) - 1]


def test_whether_it_is_a_digit_needs_all_members(page: Any) -> None:
    panel = open_panel(page, "no_digit")
    start(page)
    sync_api.expect(panel).to_contain_text("needs the answers of all members")
    parts = {"uncertainty": 1.0, "disagreement": 2.5, "free_energy": 6.0}
    verdict = {"score": 9.5, "limit": 8.0, "probably": True, "parts": parts}

    def change(route: Any) -> None:
        route.fulfill(json={**route.fetch().json(), "no_digit": verdict})

    page.route("**/api/classify*", change)
    draw(page, [(0.4, 0.5), (0.41, 0.5)])
    sync_api.expect(panel).to_contain_text("Probably no digit.")
    assert "Score 9.5, limit 8.0." in panel.inner_text()
    widths = panel.locator(".gauge .part").evaluate_all(
        "pieces => pieces.map((piece) => piece.getBoundingClientRect().width)"
    )
    assert widths[1] / widths[0] == pytest.approx(2.5, rel=0.05)
    assert widths[2] / widths[0] == pytest.approx(6, rel=0.05)
    assert violations(page) == []


def test_the_preparation_shows_each_step(page: Any) -> None:
    panel = open_panel(page, "steps")
    start(page)
    sync_api.expect(panel.locator("figcaption").last).to_have_text("what the networks see")
    assert panel.locator("img").count() >= 2
    page.click("#random")
    sync_api.expect(panel.locator("figcaption")).to_have_text(["a test image, as it is"])


def test_a_network_is_trained_live(page: Any) -> None:
    start(page)
    panel = open_panel(page, "train")
    wait_for_shown(panel)
    assert "Step 0:" in panel.inner_text()
    assert panel.locator("figcaption").first.inner_text().startswith("Weights of each pixel for 0 to 9")
    panel.locator("select").first.select_option("small")
    sync_api.expect(panel).to_contain_text("Weights of the 32 hidden units")
    panel.locator("select").nth(2).select_option("0.01")
    panel.locator("select").nth(3).select_option("0.3")
    panel.locator("select").nth(4).select_option("fast")
    go = panel.locator(".go")
    go.focus()
    page.keyboard.press("Enter")
    sync_api.expect(panel.locator(".said-of")).to_contain_text("epoch 1: loss")
    page.wait_for_function(  # a function, as the page's policy forbids to evaluate strings
        "() => Number(document.querySelector('#panel-train .said-of').innerText.match(/Step (\\d+)/)[1]) > 300"
    )
    page.keyboard.press("Enter")
    sync_api.expect(go).to_have_text("Start")
    page.wait_for_timeout(500)
    said = panel.locator(".said-of").inner_text()
    page.wait_for_timeout(500)
    assert panel.locator(".said-of").inner_text() == said
    assert float(said.rpartition(" ")[2].rstrip(".")) > 0.8
    step = said.split()[1].rstrip(",")
    command = panel.locator("code").inner_text()
    assert command.endswith(f"--model.lr 0.01 --seed_everything 0 --trainer.max_steps {step}")
    assert "--model.dropout 0.3" in command
    assert "It reads your drawing as" in panel.inner_text()
    assert all(drawn_on(canvas) for canvas in panel.locator("canvas").all())
    assert violations(page) == []
    panel.locator("button", has_text="Begin anew").click()
    sync_api.expect(panel.locator(".said-of")).to_contain_text("Step 0:")


def test_a_training_is_started_by_touch_and_ends_with_its_tab(phone: Any) -> None:
    tap_tab(phone, "train")
    panel = panel_of(phone, "train")
    tap(panel.locator(".go"), "document.querySelector('#panel-train .go').innerText === 'Pause'")
    wait_for_shown(panel, 3)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    tap_tab(phone, "dream")
    requests: list[str] = []
    phone.wait_for_timeout(300)
    phone.on("request", lambda request: requests.append(request.url))
    phone.wait_for_timeout(600)
    assert requests == []


STARTED = ("fool", "dream", "train")
"""Panels that show something after a press of their button."""
WITHOUT_ANSWERS = ("no_digit", "steps")
"""Panels that need no answer of their own."""


@pytest.mark.parametrize("name", TABS)
def test_every_panel_is_used_by_touch_on_a_phone(name: str, phone: Any) -> None:
    draw_by_touch(phone, SEVEN)
    wait_for_prediction(phone, 7)
    tap_tab(phone, name)
    panel = panel_of(phone, name)
    shown = f"Number(document.getElementById('panel-{name}').dataset.shown ?? 0) >= 1"
    if name in STARTED:
        tap(panel.locator(".go"), shown)
    elif name not in WITHOUT_ANSWERS:
        wait_for_shown(panel)
    assert panel.inner_text().strip()
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390
    assert violations(phone) == []


@pytest.mark.parametrize("name", TABS)
def test_every_panel_is_used_by_keyboard(name: str, page: Any) -> None:
    start(page)
    page.focus("#tab-inside")
    for _ in range(TABS.index(name)):
        page.keyboard.press("ArrowRight")
    panel = panel_of(page, name)
    sync_api.expect(panel).to_be_visible()
    if name in STARTED:
        button = panel.locator(".go").element_handle()
        for _ in range(12):
            page.keyboard.press("Tab")
            if page.evaluate("button => document.activeElement === button", button):
                break
        assert page.evaluate("button => document.activeElement === button", button)
        page.keyboard.press("Enter")
    if name not in WITHOUT_ANSWERS:
        wait_for_shown(panel)
    assert panel.inner_text().strip()
