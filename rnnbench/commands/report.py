"""`rnnbench report DIR`: the results as one interactive HTML page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rnnbench.figures.page import PAGE, write_report


def main(argv: Sequence[str] | None = None) -> int:
    """Writes the page of the results in a folder; returns the exit code.

    Args:
        argv: the command line behind `report`.

    Raises:
        UserError: there are no records, or the page cannot be written.
    """
    parser = argparse.ArgumentParser(
        prog="rnnbench report",
        description="Writes one interactive HTML page that opens from disk, without a network: comparison, learning "
        "curves, score breakdowns, gradient flow, gates word by word, completed sentences, the runs' "
        "configurations and what failed.",
    )
    parser.add_argument("folder", metavar="DIR", type=Path, help="results of one job or of many (output=DIR)")
    parser.add_argument("--output", metavar="FILE", type=Path, help="the page (default: DIR/report.html)")
    arguments = parser.parse_args(argv)
    path = write_report(arguments.folder, arguments.output or arguments.folder / PAGE)
    print(f"written: {path}", file=sys.stderr)
    return 0
