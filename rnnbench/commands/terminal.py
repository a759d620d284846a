"""How all commands print: one style of table, and one width where the output is no terminal."""

import sys

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_OF_A_FILE = 200
"""Columns of a table that goes into a file or a pipe, which do not wrap."""


def console() -> Console:
    """Returns a console on the standard output of now."""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    return console


def table(*headings: str) -> Table:
    """Returns an empty table, narrow enough for a terminal of 80 columns: names at the left, numbers at the right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if column else "left")
    return table
