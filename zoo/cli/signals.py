"""Signals that end a command."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_received = 0
"""The first signal that the command received; 0 before."""


def raise_if_received() -> None:
    """End the command if a signal arrived whose exception a library has kept to itself, while it was imported say.

    Called before a command's long work, which has handlers of its own.

    Raises:
        SystemExit: SIGTERM was received.
        KeyboardInterrupt: SIGINT was received.
    """
    if _received:
        raise _end(_received)


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Let SIGTERM end a command with status 143 and SIGINT with `KeyboardInterrupt`, wherever they arrive.

    What they raise passes through the command, so that no temporary files are left. Libraries may take it for an error
    of their own, and Python ignores it in destructors: a signal that was received ends the command in any case.

    A handler that was there before stays. So do those of Lightning and of a training, which call or replace these.

    Raises:
        SystemExit: SIGTERM was received.
        KeyboardInterrupt: SIGINT was received.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    global _received
    process, before = os.getpid(), _received

    def stop(number: int, frame: FrameType | None) -> None:
        global _received
        if os.getpid() != process:  # a process that was forked, such as a worker of a DataLoader
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        if number == signal.SIGTERM and not _received:
            print("zoo: stopped by SIGTERM", file=sys.stderr)
        _received = _received or number
        raise _end(number)

    defaults: dict[signal.Signals, Any] = {signal.SIGTERM: signal.SIG_DFL, signal.SIGINT: signal.default_int_handler}
    handled = [number for number, default in defaults.items() if signal.getsignal(number) == default]
    for number in handled:
        signal.signal(number, stop)
    _received = 0
    try:
        yield
        raise_if_received()
    except Exception:
        if _received:  # the import of a library was interrupted, for example, and failed in another place
            raise _end(_received) from None
        raise
    finally:
        _received = before
        for number in handled:
            signal.signal(number, defaults[number])


def _end(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
