"""Child processes that end with their parent."""

from __future__ import annotations

import ctypes
import signal
import sys

_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None  # loaded before a process is forked


def end_with_parent() -> None:
    """Let the kernel end this process when the thread that started it ends, even by SIGKILL. Linux only.

    Meant for the argument ``preexec_fn`` of `subprocess.Popen`.
    """
    if _LIBC is not None:
        _LIBC.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
