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
    """Returns the path of a folder of results.

    Raises:
        UserError: the text is empty, which as a path would be the current folder.
    """
    if not text:
        raise UserError("expected a folder that rnnbench wrote, got ''; the current one is .")
    return Path(text)
