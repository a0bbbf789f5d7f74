"""Whole programs, from the start of Python to their end: how long, and how much memory at most."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zoo.utils.errors import UsageError


class Used(NamedTuple):
    """What a process used."""

    seconds: float
    peak_bytes: int
    """Resident memory at most."""


def run_program(words: Sequence[str], environment: Mapping[str, str] | None = None) -> Used:
    """Run Python with these words and wait for its end.

    Raises:
        UsageError: It ended with an error.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, *words],
        env={**os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    with process.stderr as stderr:
        complaint = stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UsageError(f"`{' '.join(words)}` failed: {(complaint.strip().splitlines() or ['no reason given'])[-1]}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Used(time.perf_counter() - started, usage.ru_maxrss * unit)
