"""What commands have in common: the arguments that several take, one style of table, and one width for files."""

import argparse
import sys
from collections.abc import Iterable

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from rnnbench.commands.parser import results_folder
from rnnbench.visible import visible

WIDTH_OF_A_FILE = 200
"""Width of output that goes to a file or a pipe, which does not wrap lines."""


class _VisibleConsole(Console):
    """A console on which text from data is only text: whatever could not be seen in it is shown as an escape."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text, keep="\n"))


def console() -> Console:
    """Returns a console on the current standard output."""
    console = _VisibleConsole(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        console.width = WIDTH_OF_A_FILE
    return console


def table(*headings: str) -> Table:
    """Returns an empty table, compact enough for 80 columns: the first column aligned left, the others right."""
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for column, heading in enumerate(headings):
        table.add_column(Text(heading), justify="right" if column else "left")
    return table


def add_results_folder(parser: argparse.ArgumentParser) -> None:
    """Adds the argument `folder`, which contains results."""
    parser.add_argument("folder", metavar="DIR", type=results_folder, help="results of one job or of many (output=DIR)")


def add_drawn_probes(parser: argparse.ArgumentParser) -> None:
    """Adds `--probes`, the names of probes to draw besides the built-in ones."""
    parser.add_argument(
        "--probes",
        metavar="NAME,...",
        type=names,
        default=[],
        help="dotted names of your own probes, to draw their figures too",
    )


def names(text: str) -> list[str]:
    """Returns names that are separated by commas."""
    return text.split(",")
