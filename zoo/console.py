"""Saying something to the person who is watching, once and without tearing a progress bar."""

from __future__ import annotations

import sys

from lightning_utilities.core.rank_zero import rank_zero_only
from tqdm import tqdm


@rank_zero_only
def tell(message: str) -> None:
    """Print a line on standard error, on the first process only."""
    tqdm.write(message, file=sys.stderr)
