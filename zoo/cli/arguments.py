"""The argument parser of the verbs that are not the Trainer's."""

from __future__ import annotations

import argparse
import difflib
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from itertools import takewhile
from typing import Any, NoReturn

from zoo.utils.errors import UsageError


class _ParserMade(Exception):
    """Carries a verb's parser to `parser_of`."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


_is_asked_for: ContextVar[bool] = ContextVar("_is_asked_for", default=False)


def parser_of(run: Callable[[str, list[str]], int]) -> argparse.ArgumentParser:
    """Return the parser that a verb makes, without running the verb.

    Args:
        run: The verb's function.
    """
    token = _is_asked_for.set(True)
    try:
        run("", [])
    except _ParserMade as made:
        return made.parser
    finally:
        _is_asked_for.reset(token)
    raise TypeError("The verb parses no arguments.")


class ShortErrorParser(argparse.ArgumentParser):
    """An `ArgumentParser` that reports an error without the usage text, and takes no flag by an abbreviation.

    An abbreviation would change its meaning with the next new flag.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(allow_abbrev=False, **options)

    def parse_args(self, arguments: Sequence[str]) -> argparse.Namespace:  # type: ignore[override]
        """Parse arguments, and report an unknown flag before an argument that is missing.

        Raises:
            UsageError: The arguments are invalid.
        """
        if _is_asked_for.get():
            raise _ParserMade(self)
        for argument in takewhile(lambda word: word != "--", arguments):
            flag = argument.partition("=")[0]
            if flag.startswith("--") and " " not in flag and flag not in self._option_string_actions:
                known = [name for name in self._option_string_actions if name.startswith("--")]
                hint = did_you_mean(flag, known, f"; `{self.prog} --help` lists them.")
                raise UsageError(f"Unknown flag {flag}{hint}")
        return super().parse_args(arguments)

    def error(self, message: str) -> NoReturn:
        """Report an error.

        Raises:
            UsageError: Always. The command line prints it on one line.
        """
        raise UsageError(f"{message}; `{self.prog} --help` lists what it takes.")


def did_you_mean(wrong: str, known: Iterable[str], otherwise: str = "") -> str:
    """Return ``: did you mean NAME?`` for the name that begins so, or else the closest one.

    Args:
        wrong: What the user wrote.
        known: The names that exist.
        otherwise: What is returned if no name is close.
    """
    names = sorted(known)
    close = [name for name in names if name.startswith(wrong)] or difflib.get_close_matches(wrong, names, cutoff=0.6)
    return f": did you mean {close[0]}?" if close else otherwise
