"""The parser of the Trainer's verbs: every mistake ends with one sentence and exit status 2."""

from __future__ import annotations

import re
from typing import Any, NoReturn

from pytorch_lightning.cli import LightningArgumentParser

from zoo.errors import UsageError


class ZooArgumentParser(LightningArgumentParser):
    """LightningCLI's parser with short errors: jsonargparse alone prints its whole usage for one typing error."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Raise `UsageError` with the message's substance in one line."""
        if not self.exit_on_error:
            # An inner parser, one of several types that are tried in turn: its caller goes on with the next.
            super().error(message, ex)
        usage = _find_usage_error(ex)
        raise usage if usage is not None else UsageError(_one_sentence(message)) from ex


def _find_usage_error(error: BaseException | None) -> UsageError | None:
    while error is not None and not isinstance(error, UsageError):
        error = error.__cause__ or error.__context__
    return error


def _one_sentence(message: str) -> str:
    lines = [line.strip().removeprefix("- ") for line in message.strip().splitlines() if line.strip()]
    return re.sub(r"\s+", " ", "; ".join(lines))[:600]


def find_values(words: list[str], *flags: str) -> list[tuple[int, str]]:
    """Return the values given to any of ``flags`` as (position of the value, value)."""
    found: list[tuple[int, str]] = []
    for position, word in enumerate(words):
        if word in flags and position + 1 < len(words):
            found.append((position + 1, words[position + 1]))
        elif any(word.startswith(f"{flag}=") for flag in flags):
            found.append((position, word.partition("=")[2]))
    return found


def replace_value(words: list[str], position: int, value: Any) -> None:
    """Replace a value that `find_values` found, in place."""
    flag, equals, _ = words[position].partition("=")
    words[position] = f"{flag}={value}" if equals and flag.startswith("-") else str(value)
