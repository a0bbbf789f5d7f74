from __future__ import annotations

import pytest

from zoo.utils.errors import LONGEST_MESSAGE, UsageError
from zoo.utils.printable import printable


@pytest.mark.parametrize(
    "text", ["plain", "a b", "한글", "Ünïcödé", "😀", "👩‍👩‍👧", "back\\slash", "non\u00a0breaking", ""]
)
def test_what_can_be_printed_stays(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize("character", ["\x1b", "\n", "\r", "\t", "\x00", "\x7f", "\x9b", "\u2028", "\u202e", "\u2066"])
def test_what_steers_a_terminal_is_escaped(character: str) -> None:
    shown = printable(f"a{character}b")
    assert character not in shown
    assert shown.encode().decode("unicode_escape") == f"a{character}b"


def test_bytes_of_a_name_that_are_no_utf_8_can_be_printed() -> None:
    assert printable(b"caf\xe9".decode(errors="surrogateescape")) == r"caf\udce9"


def test_a_message_is_one_line_of_moderate_length_that_keeps_its_end() -> None:
    message = str(UsageError(f"Cannot read {'a/' * 2500}\x1b[31m\n: name another place."))
    assert message.isprintable()
    assert len(message) < LONGEST_MESSAGE
    assert message.startswith("Cannot read a/a/")
    assert message.endswith(": name another place.")
