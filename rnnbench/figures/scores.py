"""Test scores: by distance, over training, and against a swept key."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from rnnbench.analysis.selection import at_last_step
from rnnbench.analysis.settings import label_runs, metric_label
from rnnbench.errors import UserError
from rnnbench.figures.style import GREY, coloured_lines, draw_seeds, grid, legend, panels_of, plain, score_axis, styled
from rnnbench.records.bins import bin_label


@styled
def score_by_distance(scores: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The test score in bins of the distance between the cue and the answer, at the end of training.

    Finished runs alone, since runs in training are not comparable. A bin stands at its far end on an axis
    logarithmic to the base of 2, the cells side by side around it.

    Args:
        scores: from `load_scores`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no finished run has scores by distance.
    """
    runs = label_runs(runs[runs["status"] == "finished"])
    table = at_last_step(scores[scores["by"] == "distance"]).merge(runs, on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        raise UserError("no finished run has scores by distance")
    figure, panels = grid(panels_of(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        lines = coloured_lines(rows)
        for i, (line, _, colour) in enumerate(lines):
            seeds = rows[rows["line"] == line].pivot(index="high", columns="run_id", values="value")
            seeds.index *= 1.08 ** (i - (len(lines) - 1) / 2)  # side by side: cells that are all right coincide
            draw_seeds(axes, seeds, colour, label=line, marker="o")
        bins = rows[["low", "high"]].drop_duplicates().sort_values("high")
        axes.set_xscale("log", base=2)
        labels = [bin_label(low, high) for low, high in bins.itertuples(index=False)]
        axes.set_xticks(bins["high"], labels)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(bins["high"].min() / 1.25, bins["high"].max() * 1.25)
        axes.set_xlabel("distance from the cue to the answer (steps)")
        score_axis(axes, rows)
    legend(figure, table)
    return figure


@styled
def learning_curves(metrics: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The test score against training steps, of all runs, the unfinished too.

    A median ends where the first of its seeds ends. A cross marks where a run diverged.

    Args:
        metrics: from `load_metrics`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no run was evaluated.
    """
    runs = label_runs(runs)
    table = metrics[metrics["split"] == "test"].merge(runs, on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        raise UserError("no run has been evaluated yet")
    figure, panels = grid(panels_of(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        for line, _, colour in coloured_lines(rows):
            own = rows[rows["line"] == line]
            draw_seeds(axes, own.pivot(index="step", columns="run_id", values="value"), colour, label=line)
            last = own[own["status"] == "diverged"].groupby("run_id").tail(1)
            axes.plot(last["step"], last["value"], "x", color=colour, markersize=11, markeredgewidth=3, zorder=5)
        axes.set_xlim(0, max(1, rows["step"].max()))
        axes.set_xlabel("training steps")
        score_axis(axes, rows)
    extra = [Line2D([], [], color=GREY, marker="x", linestyle="", markersize=11, markeredgewidth=3, label="diverged")]
    legend(figure, table, extra if (table["status"] == "diverged").any() else [])
    return figure


@styled
def score_by_value(runs: pd.DataFrame, key: str) -> Figure:
    """The final test score against the value of a key in which runs differ, such as `optimizer.learning_rate`.

    Of finished runs: the median over seeds, and a band between the quartiles.

    Args:
        runs: from `load_runs`.
        key: a column of it with numbers.

    Raises:
        UserError: finished runs do not differ in that key.
    """
    runs = runs[runs["status"] == "finished"]
    if key not in runs or runs[key].nunique() < 2:
        raise UserError(f"{key}: expected a key in which finished runs differ")
    runs = runs[runs[key].notna()]
    table = label_runs(runs.drop(columns=key)).assign(at=runs[key].to_numpy()).rename(columns={"result": "value"})
    figure, panels = grid(panels_of(table, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        for line, _, colour in coloured_lines(rows):
            quartiles = rows[rows["line"] == line].groupby("at")["value"].quantile([0.25, 0.5, 0.75]).unstack()
            at = quartiles.index.to_numpy()
            axes.fill_between(at, quartiles[0.25], quartiles[0.75], color=colour, alpha=0.16, linewidth=0)
            axes.plot(at, quartiles[0.5], color=colour, marker="o", markersize=7)
        if (rows["at"] > 0).all():
            axes.set_xscale("log")
        axes.set_xlabel(plain(metric_label(key.rpartition(".")[2])))
        score_axis(axes, rows)
    legend(figure, table)
    return figure
