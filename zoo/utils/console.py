"""Saying something to the person who is watching, once and without tearing a progress bar."""

from __future__ import annotations

import sys

from lightning_utilities.core.rank_zero import rank_zero_only
from tqdm import tqdm


def is_watched() -> bool:
    """Whether someone sees standard error as it is written, in a terminal or a notebook, so that a bar can move."""
    if sys.stderr is None:  # closed by whoever started the process
        return False
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel.")


@rank_zero_only
def print_rank_zero(message: str) -> None:
    """Print a line on standard error, on the first process only."""
    if sys.stderr is not None:
        tqdm.write(message, file=sys.stderr)
