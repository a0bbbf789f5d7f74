"""``python -m zoo`` is the command ``zoo``."""

import os
import sys

if __name__ == "__main__":
    # Python has put the current folder first, where any file of the name of a module would be run. An entry of
    # PYTHONPATH comes later and stays.
    if not sys.flags.safe_path and sys.path[:1] == [os.getcwd()]:
        del sys.path[0]
    from zoo.cli import program

    sys.exit(program())
