"""The parser of command lines: what it refuses is one line, like every other mistake."""

import argparse
from pathlib import Path
from typing import NoReturn

from rnnbench.errors import UserError


class Parser(argparse.ArgumentParser):
    """A parser that raises a `UserError` in place of printing its usage and ending the process."""

    def error(self, message: str) -> NoReturn:
        """Refuses a command line; see `argparse.ArgumentParser.error`."""
        raise UserError(f"{message}; `{self.prog} --help` explains the command line")


def results_folder(text: str) -> Path:
    """Returns the path of a folder of results, which must exist.

    Raises:
        UserError: it does not.
    """
    if not text:
        raise UserError("expected a folder that rnnbench wrote, got ''; the current one is .")
    path = Path(text)
    if not path.exists():
        raise UserError(f"{text}: there is no such folder; expected one that rnnbench wrote (output=, else results)")
    return path
