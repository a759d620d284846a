"""`rnnbench report DIR`: the results as one interactive HTML page."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rnnbench.config.messages import describe
from rnnbench.figures.page import PAGE, write_report
from rnnbench.probes.finding import drawers


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
    parser.add_argument(
        "--probes",
        metavar="NAME,...",
        type=lambda text: text.split(","),
        default=[],
        help="dotted names of probes of your own, whose figures are drawn too",
    )
    arguments = parser.parse_args(argv)
    path = write_report(arguments.folder, arguments.output or arguments.folder / PAGE, drawers(arguments.probes))
    print(f"written: {path}", file=sys.stderr)
    return 0


def report_sweep(output: Path) -> None:
    """Writes the page of what a sweep has trained into its folder; prints what prevents it, and fails for nothing."""
    try:
        print(f"written: {write_report(output, output / PAGE, drawers())}", file=sys.stderr)
    except Exception as error:  # a bug here, too: what was trained is what counts
        print(f"rnnbench: no report: {describe(error)[0]}", file=sys.stderr)
