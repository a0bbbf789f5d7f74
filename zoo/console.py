"""Saying something to the person who is watching, once and without tearing a progress bar."""

from __future__ import annotations

import sys

from lightning_utilities.core.rank_zero import rank_zero_only
from tqdm import tqdm


def is_watched() -> bool:
    """Whether someone sees standard error as it is written, in a terminal or a notebook, so that a bar can move."""
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel.")


@rank_zero_only
def tell(message: str) -> None:
    """Print a line on standard error, on the first process only."""
    tqdm.write(message, file=sys.stderr)
