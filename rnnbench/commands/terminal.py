"""How all commands print: one style of table, and one width if the output is not a terminal."""

import sys

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

WIDTH_OF_A_FILE = 200
"""Width of output that goes to a file or a pipe, which does not wrap lines."""


def console() -> Console:
    """Returns a console on the current standard output."""
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    return console


def table(*headings: str) -> Table:
    """Returns an empty table, compact enough for 80 columns: the first column aligned left, the others right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if column else "left")
    return table
