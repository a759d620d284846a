"""Test scores: broken down, during training, and against a swept key."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from rnnbench.analysis.labels import breakdown_label, metric_label
from rnnbench.analysis.selection import at_last_step, trained_length
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError
from rnnbench.figures.colours import GREY, setting_looks, settings
from rnnbench.figures.legends import legend
from rnnbench.figures.panels import draw_seeds, grid, panels_of, score_axis
from rnnbench.figures.style import plain, styled
from rnnbench.records.bins import bin_label

MOST_LEVEL = 6
"""More labels than these on an axis would overlap: those of bins are turned, and those of values left to matplotlib."""

SIZES = ("model.hidden_size", "model.parameters", "size.parameters", "size.state_size")
"""Columns of the runs that say how large a model is, each in its own way."""


@styled
def scores_by(scores: pd.DataFrame, runs: pd.DataFrame, by: str = "distance") -> Figure:
    """Draws the test score at the end of training, broken down into bins.

    Only finished runs are drawn, since unfinished ones are not comparable. Bins of several values are at their upper
    ends on a log2 axis, and bins of one value on a linear axis. Settings are drawn side by side.

    Args:
        scores: the table `scores`.
        runs: from `load_runs`; other runs in the table are not drawn.
        by: the breakdown, such as `distance` (between the cue and the answer) or `attractors`.

    Raises:
        UserError: no finished run has this breakdown.
    """
    runs = label_runs(runs)
    looks = setting_looks(runs)
    finished = runs[runs["status"] == "finished"]
    table = at_last_step(scores[scores["by"] == by]).merge(finished, on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        raise UserError(f"no finished run has scores by {by}")
    figure, panels = grid(panels_of(runs, table))
    extra: list[Line2D] = []
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        bins = rows[["low", "high"]].drop_duplicates().sort_values("high")
        logarithmic = bool((bins["low"] < bins["high"]).any())
        lines = list(settings(rows, looks))
        for number, (line, look, own) in enumerate(lines):
            seeds = own.pivot(index="high", columns="run_id", values="value")
            place = number - (len(lines) - 1) / 2  # side by side, since perfect settings would coincide
            if logarithmic:
                seeds.index *= min(1.08, 1.5 ** (1 / len(lines))) ** place
            else:
                seeds.index += min(0.06, 0.5 / len(lines)) * place
            draw_seeds(axes, seeds, look, line, marker="o")
        _bins_axis(axes, bins, logarithmic)
        axes.set_xlabel(plain(breakdown_label(by)))
        score_axis(axes, rows)
        if (longest := trained_length(rows)) is not None:
            axes.axvline(longest, color=GREY, linestyle=":", linewidth=2)
            extra = [Line2D([], [], color=GREY, linestyle=":", linewidth=2, label="longest in training")]
    legend(figure, table, looks, extra)
    return figure


def _bins_axis(axes: Axes, bins: pd.DataFrame, logarithmic: bool) -> None:
    first, last = bins["high"].min(), bins["high"].max()
    if logarithmic:
        axes.set_xscale("log", base=2)
        axes.set_xlim(first / 1.25, last * 1.25)
    else:
        axes.set_xlim(first - 0.5, last + 0.5)
    axes.set_xticks(bins["high"], [bin_label(low, high) for low, high in bins.itertuples(index=False)])
    if len(bins) > MOST_LEVEL:
        axes.tick_params("x", rotation=30)
    axes.xaxis.set_minor_locator(NullLocator())


@styled
def learning_curves(metrics: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draws the test score of all runs, including unfinished ones, against training steps.

    A median ends when the first of its seeds ends. A cross marks where a run diverged.

    Args:
        metrics: the table `metrics`.
        runs: from `load_runs`; other runs in the table are not drawn.

    Raises:
        UserError: no run was evaluated.
    """
    runs = label_runs(runs)
    looks = setting_looks(runs)
    table = metrics[metrics["split"] == "test"].merge(runs, on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        raise UserError("no run has been evaluated yet")
    figure, panels = grid(panels_of(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        for line, look, own in settings(rows, looks):
            draw_seeds(axes, own.pivot(index="step", columns="run_id", values="value"), look, line)
            last = at_last_step(own[own["status"] == "diverged"])
            axes.plot(last["step"], last["value"], "x", color=look.colour, markersize=11, markeredgewidth=3, zorder=5)
        axes.set_xlim(0, max(1, rows["step"].max()))
        axes.set_xlabel("training steps")
        score_axis(axes, rows)
    extra = [Line2D([], [], color=GREY, marker="x", linestyle="", markersize=11, markeredgewidth=3, label="diverged")]
    legend(figure, table, looks, extra if (table["status"] == "diverged").any() else [])
    return figure


@styled
def score_by_value(runs: pd.DataFrame, key: str) -> Figure:
    """Draws the final test score against a key in which runs differ, such as `optimizer.learning_rate`.

    For finished runs, the figure shows the median over seeds and a band between the quartiles. Against a size of the
    model (`model.hidden_size`, `size.parameters`, `size.state_size`), runs of all sizes of a cell make one line.

    Args:
        runs: from `load_runs`.
        key: a numeric column of `runs`.

    Raises:
        UserError: finished runs do not differ in that key.
    """
    finished = runs["status"] == "finished"
    if key not in runs or runs[key][finished].nunique() < 2:
        raise UserError(f"{key}: expected a key in which finished runs differ")
    same = {key, *(SIZES if key in SIZES else ())} & {*runs}
    labelled = label_runs(runs.drop(columns=[*same])).rename(columns={"result": "value"})
    labelled = labelled.assign(at=runs[key].to_numpy())
    looks = setting_looks(labelled)
    table = labelled[(labelled["status"] == "finished") & labelled["at"].notna()]
    figure, panels = grid(panels_of(labelled, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        for _, look, own in settings(rows, looks):
            quartiles = own.groupby("at")["value"].quantile(np.array([0.25, 0.5, 0.75])).unstack()
            at = quartiles.index.to_numpy()
            axes.fill_between(at, quartiles[0.25], quartiles[0.75], color=look.colour, alpha=0.16, linewidth=0)
            axes.plot(at, quartiles[0.5], color=look.colour, marker=look.marker or "o", markersize=7)
        if (rows["at"] > 0).all():
            axes.set_xscale("log")
        if len(values := rows["at"].unique()) <= MOST_LEVEL:
            axes.set_xticks(values, [f"{value:g}" for value in values])
            axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlabel(plain(metric_label(key.rpartition(".")[2])))
        score_axis(axes, rows)
    legend(figure, table, looks)
    return figure
