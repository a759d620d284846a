"""`rnnbench show DIR`: shows results as tables, the models' completions, and figures."""

import functools
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console, RenderableType
from rich.text import Text

from rnnbench import figures as drawn
from rnnbench.analysis.labels import breakdown_label, metric_label
from rnnbench.analysis.numbers import number, percent
from rnnbench.analysis.selection import at_last_step
from rnnbench.analysis.settings import in_order, label_runs
from rnnbench.analysis.summaries import RIGHT, completions
from rnnbench.analysis.tables import load_metrics, load_runs, load_scores, load_showcase, table_names
from rnnbench.commands import terminal
from rnnbench.commands.parser import Parser
from rnnbench.errors import UserError
from rnnbench.figures.probed import Draw, probe_figures
from rnnbench.probes.finding import drawers
from rnnbench.records.bins import bin_label
from rnnbench.visible import visible

MEASURED_BY_COMMAND = ("spectra", "memory")
"""Tables that `rnnbench probe` fills, and training only if configured to."""

MAX_NAMED = 8
"""Maximum number of unfinished or diverged runs that are named individually."""


def main(argv: Sequence[str] | None = None) -> int:
    """Shows the results in a folder, and returns the exit code.

    Args:
        argv: the command line after `show`.

    Raises:
        UserError: there are no records, or the figures cannot be written.
    """
    parser = Parser(
        prog="rnnbench show",
        description="Shows results: for every task the cells' scores, broken down (median, minimum and maximum over "
        "seeds), and how the models complete the task's sentences. Draws all figures.",
    )
    terminal.add_results_folder(parser)
    parser.add_argument(
        "--figures", metavar="DIR2", type=Path, help="where the figures are written (default: DIR/figures)"
    )
    terminal.add_drawn_probes(parser)
    arguments = parser.parse_args(argv)
    drawn_by = drawers(arguments.probes)
    runs = load_runs(arguments.folder)
    scores, showcase = load_scores(arguments.folder), load_showcase(arguments.folder)

    console = terminal.console()
    labelled = label_runs(runs)
    for panel in labelled["panel"].unique():
        of_task = labelled[labelled["panel"] == panel]
        for shown in (*_score_tables(panel, of_task, scores), *_notes(of_task, runs), *_completions(of_task, showcase)):
            console.print(shown, soft_wrap=isinstance(shown, Text))
    sys.stdout.flush()
    figures = _figures(arguments.folder, runs, scores, drawn_by)
    _write_figures(console, figures, arguments.figures or arguments.folder / "figures")
    if not set(MEASURED_BY_COMMAND) & set(table_names(arguments.folder)):
        console.print("no figures of Jacobians and memory: rnnbench probe measures them")
    return 0


def _score_tables(panel: str, labelled: pd.DataFrame, scores: pd.DataFrame) -> list[RenderableType]:
    """Returns a table for each breakdown of the score, or one table of the score itself."""
    finished = labelled[labelled["status"] == "finished"]
    table = scores[scores["metric"] == labelled["score"].iloc[0]].merge(finished, on="run_id")
    table = at_last_step(table)
    shown: list[RenderableType] = []
    for by in table["by"].unique() if len(table) else [None]:
        shown += _score_table(panel, labelled, table[table["by"] == by], by)
    return [*shown, Text("\nmedian of the finished seeds, below it minimum..maximum", style="dim")]


def _score_table(panel: str, labelled: pd.DataFrame, table: pd.DataFrame, by: str | None) -> list[RenderableType]:
    """Returns a row for each setting: the score of finished runs in each bin and overall, as median above range."""
    score, goal, chance = labelled["score"].iloc[0], labelled["score_goal"].iloc[0], labelled["chance"].iloc[0]
    finished = labelled[labelled["status"] == "finished"]
    bins = [(int(low), int(high)) for low, high in np.unique(table[["low", "high"]], axis=0)]
    shares = goal == "max" and finished["result"].between(0, 1).all()
    as_text: Callable[[float], str] = percent if shares else functools.partial(number, digits=2)
    unit = " in %" if shares else " (lower is better)" if goal == "min" else ""
    title = f"\n{panel}: {metric_label(score)}{unit}{f', by {breakdown_label(by)}' if by else ''}\n"
    shown = terminal.table("", *(bin_label(*each) for each in bins), "all", "seeds", "solved")
    best = [_best(table[table["high"] == high].groupby("line")["value"].median(), goal) for _, high in bins]
    best.append(_best(finished.groupby("line")["result"].median(), goal))
    for line, _ in in_order(labelled):
        own = finished[finished["line"] == line]
        values = [table["value"][(table["line"] == line) & (table["high"] == high)] for _, high in bins]
        cells: list[RenderableType] = [
            _cell(column.to_numpy(), as_text, top) for column, top in zip([*values, own["result"]], best, strict=True)
        ]
        every = int((labelled["line"] == line).sum())
        seeds = f"{len(own)}" if len(own) == every else f"{len(own)} of {every}"
        shown.add_row(Text(line, style="bold"), *cells, seeds, f"{own['solved_at'].notna().sum()}")
    if not np.isnan(chance):
        shown.add_section()
        shown.add_row("chance", *[as_text(chance)] * (len(bins) + 1), "", "", style="dim")
    return [Text(title, style="bold"), shown]


def _cell(values: "np.ndarray[tuple[int], np.dtype[np.float64]]", as_text: Callable[[float], str], best: float) -> Text:
    """Returns a median above the range, in bold if it is the best of its column."""
    if len(values) == 0:
        return Text("-", style="dim")
    median = float(np.median(values))
    text = Text(as_text(median), style="bold" if median == best else "")
    if len(values) > 1:
        text.append(f"\n{as_text(values.min())}..{as_text(values.max())}", style="not bold dim")
    return text


def _best(medians: "pd.Series[float]", goal: str) -> float:
    return medians.max() if goal == "max" else medians.min()


def _notes(labelled: pd.DataFrame, runs: pd.DataFrame) -> list[Text]:
    """Returns notes on runs that the table leaves out: diverged or unfinished ones."""
    steps = dict(zip(runs["run_id"], runs["train.steps"], strict=True)) if "train.steps" in runs else {}
    notes = []
    for status, kind in (("diverged", "diverged"), ("running", "unfinished")):
        found = labelled[labelled["status"] == status]
        names = [
            f"{run.line} seed {run.seed} ({run.run_id}) at step {run.reached}"
            + (f" of {steps[run.run_id]}" if run.run_id in steps else "")
            for run in found.head(MAX_NAMED).itertuples()
        ]
        if len(found) > MAX_NAMED:
            names.append(f"and {len(found) - MAX_NAMED} more")
        if names:
            count = "1 run" if len(found) == 1 else f"{len(found)} runs"
            notes.append(Text(visible(f"{count} {kind}, left out: {', '.join(names)}"), style="yellow"))
    return notes


def _completions(labelled: pd.DataFrame, showcase: pd.DataFrame) -> list[RenderableType]:
    shown: list[RenderableType] = []
    for sentence, (headings, *rows) in completions(labelled, showcase).items():
        table = terminal.table(*headings)
        for line, *cells in rows:
            styles = ["bold" if heading.endswith(RIGHT) else "" for heading in headings[1:]]
            table.add_row(Text(line, style="bold"), *map(Text, cells, styles))
        shown += [Text(f"\n{sentence}\n", style="bold"), table]
    return shown


def _figures(
    folder: Path, runs: pd.DataFrame, scores: pd.DataFrame, drawn_by: Mapping[str, Sequence[Draw]]
) -> dict[str, Callable[[], Figure]]:
    """Returns functions that draw all possible figures, by the figure's name."""
    metrics = load_metrics(folder)
    return {
        **{f"score_by_{by}": functools.partial(drawn.scores_by, scores, runs, by) for by in scores["by"].unique()},
        **{
            f"score_by_{size.rpartition('.')[2]}": functools.partial(drawn.score_by_value, runs, size)
            for size in runs.columns[runs.columns.str.startswith("size.")]
            if runs.groupby(["task.name", "model.name"])[size].nunique().max() > 1
        },
        "learning_curves": functools.partial(drawn.learning_curves, metrics, runs),
        "half_life": functools.partial(drawn.half_life, metrics, runs),
        **probe_figures(folder, runs, drawn_by),
    }


def _write_figures(console: Console, figures: Mapping[str, Callable[[], Figure]], folder: Path) -> None:
    """Draws and saves the figures. Prints where each one is, or why there is none."""
    console.print()
    for name, draw in figures.items():
        try:
            figure = draw()
        except UserError as error:
            console.print(Text(visible(f"no figure {name}: {error}")), soft_wrap=True)
            continue
        for path in drawn.save(figure, folder / _file_name(name)):
            console.print(Text(visible(f"written: {path}")), soft_wrap=True)


def _file_name(name: str) -> str:
    """Returns a figure's name as a file name: parts of it come from data, and must not lead out of the folder."""
    return re.sub(r"[^\w.+-]", "_", name)
