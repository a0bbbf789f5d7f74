"""``python -m zoo`` is the command ``zoo``."""

import contextlib
import os
import signal
import sys


def run() -> int:
    """Import the command line and run it. Ctrl-C during the imports ends the process without a traceback."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # it is ignored in a job in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from zoo.cli import program

    signal.signal(signal.SIGINT, handler)
    return program()


if __name__ == "__main__":
    # Python has put the current folder first, where any file of the name of a module would be run. An entry of
    # PYTHONPATH comes later and stays. In a folder that was deleted there is nothing to find.
    with contextlib.suppress(FileNotFoundError):
        if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
            del sys.path[0]
    sys.exit(run())
