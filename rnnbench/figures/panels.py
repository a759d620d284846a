"""Panels, and what is drawn in them: seeds, states, and the score axis."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from rnnbench.analysis.labels import metric_label
from rnnbench.figures.colours import GREY, Look, setting_looks, settings
from rnnbench.figures.legends import legend, states_legend
from rnnbench.figures.states import Dash, state_dashes, state_label, states
from rnnbench.figures.style import plain


def panels_of(labelled: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Returns the names of the panels that have rows, in the order of the runs."""
    return [str(name) for name in labelled["panel"].unique() if (table["panel"] == name).any()]


def grid(
    names: Sequence[Any], columns: int | None = None, size: tuple[float, float] = (6.6, 4.4), **options: Any
) -> tuple[Figure, dict[Any, Axes]]:
    """Returns a figure with a titled panel of this size (in inches) for each name, by default at most three per row."""
    columns = columns or min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(
        figsize=(size[0] * columns, size[1] * rows + 0.6),
        layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.04),
    )
    grid = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    for axes in grid[: len(names)][-columns:]:  # the last in its column, also where no panel is in the last row
        axes.tick_params(labelbottom=True)
    panels = dict(zip(names, grid, strict=False))
    for name, axes in panels.items():
        axes.set_title(plain(str(name)))
    return figure, panels


def draw_seeds(axes: Axes, seeds: pd.DataFrame, look: Look, label: str, dash: Dash = (), marker: str = "") -> None:
    """Draws each seed (a column) faintly, and a band and the median over the rows that all seeds have.

    Args:
        axes: where to draw.
        seeds: values, with a column for each seed; the index is the horizontal axis.
        look: the look of the setting.
        label: the name of the median line.
        dash: the pattern of the lines.
        marker: marks every row, with the setting's own marker if it has one. Without `marker`, a setting that has its
            own marks only some rows.
    """
    style: Any = (0, dash) if dash else "-"
    for name in seeds:
        seed = seeds[name].dropna()
        if len(seeds.columns) > 1:
            axes.plot(seed.index, seed, color=look.colour, linewidth=1.0, alpha=0.4, linestyle=style)
    common = seeds.dropna()
    axes.fill_between(common.index, common.min(axis=1), common.max(axis=1), color=look.colour, alpha=0.16, linewidth=0)
    median = common.median(axis=1)
    (line,) = axes.plot(median.index, median, color=look.colour, linestyle=style, label=plain(label), zorder=4)
    line.set(marker=look.marker or marker, markersize=8 if look.marker else 7)
    if look.marker and not marker and len(median) > 10:
        line.set_markevery(0.12)


def states_figure(
    table: pd.DataFrame,
    labelled: pd.DataFrame,
    x: str,
    y: str,
    marker: str = "",
    label: Callable[[str], str] = state_label,
) -> tuple[Figure, dict[str, Axes]]:
    """Returns a figure that draws a column against another for the seeds of every setting and state, and its panels.

    Args:
        table: the rows to draw, merged with `labelled`.
        labelled: from `label_runs`.
        x: the column of the horizontal axis.
        y: the column to draw.
        marker: see `draw_seeds`.
        label: what the legend calls a state.
    """
    looks, dashes = setting_looks(labelled), state_dashes(table)
    figure, panels = grid(panels_of(labelled, table))
    for name, axes in panels.items():
        for line, look, own in settings(table[table["panel"] == name], looks):
            for _, dash, of_state in states(own, dashes):
                seeds = of_state.pivot(index=x, columns="run_id", values=y)
                draw_seeds(axes, seeds, look, line, dash, marker)
        axes.grid(axis="y")
    legend(figure, table, looks, states_legend(table, label))
    return figure, panels


def score_axis(axes: Axes, rows: pd.DataFrame) -> None:
    """Sets up the score axis and its chance level: from 0 or chance to 1 for a share, a log scale for an error."""
    score, goal = rows["score"].iloc[0], rows["score_goal"].iloc[0]
    chance = rows["chance"].dropna().unique()
    axes.set_ylabel(plain(metric_label(score)) + (" (lower is better)" if goal == "min" else ""))
    axes.grid(axis="y")
    values = rows["value"][np.isfinite(rows["value"])]
    if goal == "min" and (values > 0).all():
        axes.set_yscale("log")
        low, high = min([*values, *chance]), max([*values, *chance])
        axes.set_ylim(low / 1.6, high * 1.9)
    elif goal == "max" and values.between(0, 1).all():
        low = min([*values, *chance])
        axes.set_ylim(max(0.0, low - 0.08), 1.03)
    for level in chance:
        axes.axhline(level, color=GREY, linewidth=1.6, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            "chance",
            (1.01, level),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            annotation_clip=False,
            color=GREY,
            fontsize=13,
        )
