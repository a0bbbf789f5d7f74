"""The argument parser of the verbs that are not the Trainer's."""

from __future__ import annotations

import argparse
from typing import NoReturn

from zoo.utils.errors import UsageError


class ShortErrorParser(argparse.ArgumentParser):
    """An `ArgumentParser` that reports an error without the usage text."""

    def error(self, message: str) -> NoReturn:
        """Report an error.

        Raises:
            UsageError: Always. The command line prints it on one line.
        """
        raise UsageError(f"{message}; `{self.prog} --help` lists what it takes.")
