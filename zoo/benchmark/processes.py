"""Run time and peak memory of whole programs, from the start of Python to its end."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from zoo.utils.errors import UsageError
from zoo.utils.processes import end_with_parent


class ResourceUsage(NamedTuple):
    """The resources that a process used."""

    seconds: float
    peak_bytes: int
    """Peak resident memory."""


def run_program(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> ResourceUsage:
    """Run Python with these arguments, wait until it ends, and return the resources it used.

    Args:
        arguments: Arguments of Python.
        environment: Environment variables to add.

    Raises:
        UsageError: The program failed.
    """
    started = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-P", *arguments],  # without the current folder on sys.path
        # JAX would take three quarters of a GPU's memory for itself.
        env={"XLA_PYTHON_CLIENT_PREALLOCATE": "false", **os.environ, **(environment or {})},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=end_with_parent,
    )
    assert process.stderr is not None
    try:
        with process.stderr as stderr:
            error_output = stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:  # a signal, for example
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise UsageError(
            f"`{' '.join(arguments)}` failed: {(error_output.strip().splitlines() or ['no reason given'])[-1]}"
        )
    unit = 1 if sys.platform == "darwin" else 1024
    return ResourceUsage(time.perf_counter() - started, usage.ru_maxrss * unit)
