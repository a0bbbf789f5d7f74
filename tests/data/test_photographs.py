"""Photographs of digits: what is in them besides the digit is taken away, and said."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from tests.drawn_digits import pictures
from tests.photographs import photographs
from zoo.data.preprocessing import preprocess, read_digit
from zoo.inference.ensemble import Committee

Page = Image.Image


def page_with(draw: Callable[[ImageDraw.ImageDraw], None] | None = None, ink: int = 40) -> Page:
    """A 3 with open ends on a page of 480 by 600 pixels, and what ``draw`` adds."""
    page = Image.new("L", (480, 600), 235)
    pen = ImageDraw.Draw(page)
    pen.arc((180, 190, 290, 300), 200, 80, fill=ink, width=14)
    pen.arc((170, 286, 300, 410), 280, 160, fill=ink, width=14)
    if draw:
        draw(pen)
    return page


def horizontal_rules(pen: ImageDraw.ImageDraw) -> None:
    for row in range(22, 600, 64):
        pen.line([(0, row), (480, row + 8)], fill=40, width=3)


def squares(pen: ImageDraw.ImageDraw) -> None:
    for place in range(18, 600, 40):
        pen.line([(0, place), (480, place)], fill=60, width=3)
        pen.line([(place, 0), (place, 600)], fill=60, width=3)


def box(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle((110, 140, 370, 460), outline=40, width=4)


def circle(pen: ImageDraw.ImageDraw) -> None:
    pen.ellipse((90, 110, 390, 490), outline=40, width=8)


def line_under(pen: ImageDraw.ImageDraw) -> None:
    pen.line([(100, 430), (380, 424)], fill=40, width=10)


def desk(pen: ImageDraw.ImageDraw) -> None:
    pen.rectangle((0, 0, 60, 600), fill=15)
    pen.rectangle((0, 540, 480, 600), fill=15)


def caption(pen: ImageDraw.ImageDraw) -> None:
    for left in range(40, 400, 22):
        pen.line([(left, 40), (left + 8, 62), (left + 12, 40)], fill=40, width=3)


@pytest.mark.parametrize(
    ("addition", "note"),
    [
        (horizontal_rules, "rules"),
        (squares, "rules"),
        (box, "box or a circle"),
        (circle, "box or a circle"),
        (line_under, "line under or through"),
        (desk, "desk"),
        (caption, "other marks"),
    ],
)
def test_what_is_around_a_digit_is_taken_away_and_said(
    addition: Callable[[ImageDraw.ImageDraw], None], note: str
) -> None:
    alone = preprocess(page_with())
    for page in (page_with(addition), Image.fromarray(255 - np.asarray(page_with(addition)))):
        digit = read_digit(page)
        assert any(note in sentence for sentence in digit.notes)
        assert float((digit.pixels - alone).abs().mean()) < 0.04


def test_a_shadow_across_the_digit_is_levelled() -> None:
    pixels = np.asarray(page_with(), dtype=np.float64)
    pixels[:, 230:] *= 0.5
    digit = read_digit(pixels.astype(np.uint8))
    assert any("shadow" in sentence for sentence in digit.notes)
    assert float((digit.pixels - preprocess(page_with())).abs().mean()) < 0.03


@pytest.mark.slow
def test_plain_pictures_have_no_notes() -> None:
    assert [name for name, _, picture in pictures() if read_digit(picture).notes] == []


def test_a_zero_is_no_circle_and_an_eight_no_box() -> None:
    page = Image.new("L", (480, 600), 235)
    ImageDraw.Draw(page).ellipse((120, 120, 360, 480), outline=30, width=22)
    assert read_digit(page).notes == ()
    page = Image.new("L", (480, 600), 235)
    for top in (120, 290):
        ImageDraw.Draw(page).rectangle((150, top, 330, top + 180), outline=30, width=14)
    assert read_digit(page).notes == ()


def test_steps_lead_from_the_picture_to_the_networks_input() -> None:
    plain, ruled = (read_digit(page, with_steps=True) for page in (page_with(), page_with(horizontal_rules)))
    assert [name for name, _ in plain.steps] == [
        "the picture",
        "what was taken for the digit",
        "what the networks see",
    ]
    assert [name for name, _ in ruled.steps] == [
        "the picture",
        "the ink in even light",
        "what was taken for the digit",
        "what the networks see",
    ]
    for digit in (plain, ruled):
        assert all(max(levels.shape) <= 280 and levels.dtype == np.uint8 for _, levels in digit.steps)
        assert np.array_equal(digit.steps[-1][1], (digit.pixels[0] * 255).round().byte().numpy())
    assert read_digit(page_with()).steps == ()


@pytest.mark.slow  # the photographs take half a minute to draw
def test_committee_reads_the_frozen_photographs(capsys: pytest.CaptureFixture[str]) -> None:
    """At least 80 of the 100 photographs are read right, and three in four of the others have a note."""
    committee = Committee()
    named = [(name, label, read_digit(picture)) for name, label, picture in photographs()]
    answers = committee.predict(torch.stack([digit.pixels for _, _, digit in named])).mean.argmax(dim=1).tolist()
    misread = [(name, digit) for (name, label, digit), answer in zip(named, answers, strict=True) if answer != label]
    noted = sum(bool(digit.notes) for _, digit in misread)
    with capsys.disabled():
        print(
            f"\n{len(named) - len(misread)} of {len(named)} photographs right, {noted} of {len(misread)} others noted"
        )
    assert len(named) == 100
    assert len(misread) <= 20
    assert noted >= 0.75 * len(misread)


@pytest.mark.parametrize("addition", [box, circle, line_under])
def test_frames_are_kept_where_they_may_be_a_part_of_the_symbol(
    addition: Callable[[ImageDraw.ImageDraw], None],
) -> None:
    page = page_with(addition)
    digit, symbol = read_digit(page), read_digit(page, remove_frames=False)
    assert digit.notes
    assert not symbol.notes
    drawn = np.asarray(page) < 128
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    aspect = (columns[-1] - columns[0] + 1) / (rows[-1] - rows[0] + 1)
    seen = symbol.pixels[0] > 0.1
    height, width = int(seen.any(dim=1).sum()), int(seen.any(dim=0).sum())
    assert width / height == pytest.approx(aspect, rel=0.15)
