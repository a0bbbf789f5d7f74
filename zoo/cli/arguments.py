"""The parser of the zoo's own verbs."""

from __future__ import annotations

import argparse
from typing import NoReturn

from zoo.utils.errors import UsageError


class ShortErrorParser(argparse.ArgumentParser):
    """argparse without its usage text in front of an error."""

    def error(self, message: str) -> NoReturn:
        """Raise `UsageError`, which the command line prints in one line."""
        raise UsageError(f"{message}; `{self.prog} --help` lists what it takes.")
