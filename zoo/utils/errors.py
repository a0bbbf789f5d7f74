"""The exceptions that the command line handles."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from zoo.utils.printable import printable

LONGEST_MESSAGE = 1500
"""Number of characters; a longer message is shortened in its middle."""


class UsageError(ValueError):
    """An error that the user can correct, with a message of one sentence.

    The command line prints the message and exits with status 2. Names in it may come from anywhere, so it is made
    printable, and it stays a single line of moderate length.

    Args:
        message: The sentence.
    """

    def __init__(self, message: str) -> None:
        message = printable(message)
        if len(message) > LONGEST_MESSAGE:  # the end of a sentence says what to do
            message = f"{message[: LONGEST_MESSAGE // 4]} … {message[-LONGEST_MESSAGE // 2 :]}"
        super().__init__(message)


class Stopped(Exception):
    """Training was stopped by a signal.

    Args:
        signal: The number of the signal.
        epoch: The epoch, counted from 0.
        step: The number of completed steps.
        checkpoint: The file with the saved state; None if checkpoints are disabled.
    """

    def __init__(self, signal: int, epoch: int, step: int, checkpoint: Path | None) -> None:
        saved = f"its state is saved in {checkpoint}" if checkpoint else "nothing is saved, as checkpoints are off"
        super().__init__(f"Stopped in epoch {epoch + 1} after step {step}; {saved}.")
        self.signal = signal
        self.checkpoint = checkpoint
        self.resume_with = "--ckpt_path last"
        """What has to be added to the same command to go on."""


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for an unknown name. Its message suggests close matches or, without any, lists all names.

    Args:
        kind: The kind of thing that is named, for example ``"activation"``.
        name: The name that the user gave.
        known: The names that exist.
    """
    import difflib

    names = sorted(known)
    by_lower = {each.lower(): each for each in names}
    close = [by_lower[each] for each in difflib.get_close_matches(str(name).lower(), by_lower, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(close)}?" if close else f"the names are: {', '.join(names)}."
    return UsageError(f"Unknown {kind} {name!r}: {hint}")


def unusable_path(error: OSError) -> UsageError:
    """Return the error for a path that the system refuses, from the exception that names it."""
    return UsageError(f"Cannot use {error.filename}: {error.strerror or error}; name another place.")
