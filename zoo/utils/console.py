"""Console output that is printed by one process only and does not break a progress bar."""

from __future__ import annotations

import sys

from lightning_utilities.core.rank_zero import rank_zero_only
from tqdm import tqdm

from zoo.utils.printable import printable


def is_interactive() -> bool:
    """Return whether standard error is a terminal or a notebook, which can show a progress bar."""
    if sys.stderr is None:  # closed by the parent process
        return False
    return sys.stderr.isatty() or type(sys.stderr).__module__.startswith("ipykernel.")


@rank_zero_only
def print_rank_zero(message: str) -> None:
    """Print a line to standard error, on the process with rank 0 only. It is made printable."""
    if sys.stderr is not None:
        tqdm.write(printable(message), file=sys.stderr)


@rank_zero_only
def print_output_rank_zero(message: str) -> None:
    """Print a line to standard output, on the process with rank 0 only. It is made printable."""
    if sys.stdout is not None:
        tqdm.write(printable(message), file=sys.stdout)
