"""`rnnbench compare DIR`: statistics of every setting over its seeds, in the terminal, as Markdown and as CSV."""

import argparse
import html
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd
from rich.table import Table
from rich.text import Text

from rnnbench.analysis import costs, statistics
from rnnbench.analysis.settings import in_order, label_runs
from rnnbench.analysis.summaries import Rows, heading, notes, pair_rows, summary_rows
from rnnbench.analysis.tables import load_runs
from rnnbench.commands import terminal
from rnnbench.commands.parser import Parser
from rnnbench.config.limits import MAX_RUNS
from rnnbench.errors import UserError
from rnnbench.visible import visible


def main(argv: Sequence[str] | None = None) -> int:
    """Compares the runs in a folder, and returns the exit code.

    Args:
        argv: the command line after `compare`.

    Raises:
        UserError: there are no records, budgets differ, or the files cannot be written.
    """
    parser = Parser(
        prog="rnnbench compare",
        description="Compares settings over seeds: the median with a bootstrap interval, quartiles, how many runs "
        "solved the task (with Wilson's interval) and when, and each pair of settings seed by seed. Runs that diverged "
        "count as worse than any other. Writes comparison.md, comparison.csv and pairs.csv.",
    )
    terminal.add_results_folder(parser)
    parser.add_argument("--output", metavar="DIR2", type=Path, help="where the files are written (default: DIR)")
    parser.add_argument(
        "--tune",
        metavar="KEY",
        help="choose the best value of this key for each cell on the tuning seeds, and report it on the others",
    )
    parser.add_argument(
        "--tuning-seeds", metavar="SEEDS", type=_seeds, help="seeds to tune on, such as 0,1 or 0-3 (with --tune)"
    )
    parser.add_argument(
        "--by",
        choices=costs.COSTS,
        help="compare only runs that cost about the same: whose costs differ by at most a quarter",
    )
    arguments = parser.parse_args(argv)
    if (arguments.tune is None) != (arguments.tuning_seeds is None):
        parser.error("--tune and --tuning-seeds go together")
    runs = load_runs(arguments.folder)
    cost = costs.costs(runs, arguments.by) if arguments.by else None
    said: list[str] = []
    if arguments.tune is not None:
        seeds = ", ".join(map(str, sorted(arguments.tuning_seeds)))
        said.append(
            f"{arguments.tune} was chosen for each cell by the median over the tuning seeds {seeds}. "
            "The results are from the other seeds."
        )
        runs = statistics.tuned(runs, arguments.tune, arguments.tuning_seeds)
    labelled = label_runs(runs)
    if cost is not None:
        labelled = costs.split(labelled, cost, arguments.by)
    unfinished = int((labelled["status"] == "running").sum())
    if unfinished == len(labelled):
        raise UserError(f"{arguments.folder}: no run is finished yet ({unfinished} are not)")
    summary, pairs = statistics.summarize(labelled), statistics.paired(labelled)
    said += notes(summary, pairs)
    if unfinished:
        said.append(f"{unfinished} unfinished runs are left out.")
    note = " ".join(said)

    console = terminal.console()
    sections = []
    for panel in labelled["panel"].unique():
        of_task = labelled[labelled["panel"] == panel]
        order = [line for line, _ in in_order(of_task)]
        sections.append((heading(of_task), summary_rows(summary, panel, order)))
        if (own := pair_rows(pairs, panel, order)) and len(own) > 1:
            sections.append((f"{panel}: seed by seed", own))
    for title, rows in sections:
        console.print(Text(f"\n{title}\n", style="bold"), soft_wrap=True)
        console.print(_rich(rows))
    if note:
        console.print(Text(f"\n{note}", style="dim"), soft_wrap=True)
    _write(arguments.output or arguments.folder, sections, note, summary, pairs)
    return 0


def _seeds(text: str) -> set[int]:
    seeds: set[int] = set()
    for part in text.split(","):
        found = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if found is None:
            raise argparse.ArgumentTypeError(f"expected seeds such as 0,1 or 0-3, got {text!r}")
        first, last = int(found[1]), int(found[2] or found[1])
        if not first <= last < first + MAX_RUNS:
            raise argparse.ArgumentTypeError(f"expected ranges of 1 to {MAX_RUNS} seeds, got {part.strip()!r}")
        seeds |= set(range(first, last + 1))
    return seeds


def _rich(rows: Rows) -> Table:
    table = terminal.table(*rows[0])
    for row in rows[1:]:
        table.add_row(*map(Text, row))
    return table


def _escaped(text: str) -> str:
    """Returns text that Markdown shows as it is: no markup, no HTML, no line of its own."""
    return html.escape(re.sub(r"([\\|`*_\[\]~$])", r"\\\1", visible(text)), quote=False)


def _markdown(rows: Rows) -> str:
    escaped = [[_escaped(cell) for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in escaped]
    return "\n".join([lines[0], "|---" + "|---:" * (len(rows[0]) - 1) + "|", *lines[1:]])


def _write(
    folder: Path, sections: list[tuple[str, Rows]], note: str, summary: pd.DataFrame, pairs: pd.DataFrame
) -> None:
    text = "\n\n".join(f"## {_escaped(title)}\n\n{_markdown(rows)}" for title, rows in sections)
    files: dict[str, Callable[[Path], object]] = {
        "comparison.md": lambda path: path.write_text(f"# Comparison\n\n{text}\n\n{_escaped(note)}".rstrip() + "\n"),
        "comparison.csv": lambda path: summary.to_csv(path, index=False),
        "pairs.csv": lambda path: pairs.to_csv(path, index=False),
    }
    for name, write in files.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / name)
        except OSError as error:
            raise UserError(
                f"cannot write {folder / name}: {error.strerror}; --output chooses another folder"
            ) from error
        print(f"written: {folder / name}", file=sys.stderr)
