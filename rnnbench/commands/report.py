"""`rnnbench report DIR`: writes the results as one interactive HTML page."""

import sys
from collections.abc import Sequence
from pathlib import Path

from rnnbench.commands import terminal
from rnnbench.commands.parser import Parser
from rnnbench.config.messages import describe
from rnnbench.figures.page import PAGE, write_report
from rnnbench.probes.finding import drawers


def main(argv: Sequence[str] | None = None) -> int:
    """Writes a page about the results in a folder, and returns the exit code.

    Args:
        argv: the command line after `report`.

    Raises:
        UserError: there are no records, or the page cannot be written.
    """
    parser = Parser(
        prog="rnnbench report",
        description="Writes one interactive HTML page that opens from disk without a network: comparison, learning "
        "curves, score breakdowns, gradient flow, gates word by word, completed sentences, the runs' "
        "configurations, and failures.",
    )
    terminal.add_results_folder(parser)
    parser.add_argument("--output", metavar="FILE", type=Path, help="the page to write (default: DIR/report.html)")
    terminal.add_drawn_probes(parser)
    arguments = parser.parse_args(argv)
    path = write_report(arguments.folder, arguments.output or arguments.folder / PAGE, drawers(arguments.probes))
    print(f"written: {path}", file=sys.stderr)
    return 0


def report_sweep(output: Path) -> None:
    """Writes a page about a sweep into its folder. If that fails, prints why, and never raises."""
    try:
        print(f"written: {write_report(output, output / PAGE, drawers())}", file=sys.stderr)
    except Exception as error:  # even a bug here must not fail a sweep that has trained
        print(f"rnnbench: no report: {describe(error)[0]}", file=sys.stderr)
