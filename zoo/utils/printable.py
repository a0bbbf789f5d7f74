"""Text for a terminal: names that somebody else chose, such as those of files, shown without effect."""

from __future__ import annotations

import unicodedata

# Control characters, halves of characters (bytes of a file name that are no UTF-8), and separators of lines.
_ESCAPED_CATEGORIES = {"Cc", "Cs", "Zl", "Zp"}
# Marks that change the direction of text, by which one name can look like another.
_DIRECTION_MARKS = set("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def printable(text: object) -> str:
    r"""Return a text in which what would steer a terminal or break the line is shown as an escape such as ``\x1b``.

    Other characters stay, whatever the script.
    """
    characters = str(text)
    if characters.isprintable():
        return characters
    return "".join(_escaped(character) if _has_effect(character) else character for character in characters)


def _has_effect(character: str) -> bool:
    return unicodedata.category(character) in _ESCAPED_CATEGORIES or character in _DIRECTION_MARKS


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
