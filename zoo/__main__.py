"""``python -m zoo`` is the command ``zoo``."""

import os
import sys


def run() -> int:
    """Import the command line and run it. Ctrl-C during the imports ends the process without a traceback."""
    import signal

    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # it is ignored in a job in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from zoo.cli import program

    signal.signal(signal.SIGINT, handler)
    return program()


def _leave_out_current_folder() -> None:
    """Remove the current folder from the first place, where any file of the name of a module would be run.

    Python has put it there. An entry of PYTHONPATH comes later and stays. Until then nothing else may be imported.
    """
    try:
        if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
            del sys.path[0]
    except FileNotFoundError:  # the folder was deleted, so there is nothing to find in it
        return


if __name__ == "__main__":
    _leave_out_current_folder()
    sys.exit(run())
