"""The exceptions that mean something to the command line, above all: the user made a mistake."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path


class UsageError(ValueError):
    """A mistake of the user's, told in one sentence; the command line prints it and exits with status 2."""


class Stopped(Exception):
    """A training ended because a signal asked for it; its state is saved in ``checkpoint``, unless that is None."""

    def __init__(self, signal: int, epoch: int, step: int, checkpoint: Path | None) -> None:
        kept = f"its state is saved in {checkpoint}" if checkpoint else "nothing is saved, as checkpoints are off"
        super().__init__(f"Stopped in epoch {epoch + 1} after step {step}; {kept}.")
        self.signal = signal
        self.checkpoint = checkpoint


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not among the known ones, with the close matches first.

    Args:
        kind: What the name should have named, for example ``"activation"``.
        name: What the user wrote.
        known: The names that exist.
    """
    import difflib

    names = sorted(known)
    by_lower = {each.lower(): each for each in names}
    close = [by_lower[each] for each in difflib.get_close_matches(str(name).lower(), by_lower, n=3, cutoff=0.5)]
    hint = f"did you mean {' or '.join(close)}?" if close else f"the names are: {', '.join(names)}."
    return UsageError(f"Unknown {kind} {name!r}: {hint}")
