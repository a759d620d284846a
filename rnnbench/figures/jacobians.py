"""How a small change of the state grows or shrinks."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.analysis.selection import top_layer
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError
from rnnbench.figures.style import (
    GREY,
    coloured_lines,
    draw_seeds,
    draw_states,
    grid,
    legend,
    panels_of,
    states_legend,
    styled,
)


@styled
def singular_values(spectra: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The largest singular value of dh_{t+k} / dh_t against k, of the top layer; that of all states together dashed.

    Above 1 (the grey line) a change of the state, or the gradient on its way back, can grow over k steps.

    Args:
        spectra: from `load_spectra`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no run was probed.
    """
    runs = label_runs(runs)
    table = top_layer(spectra[(spectra["kind"] == "singular_value") & (spectra["number"] == 0)]).merge(
        runs, on="run_id"
    )
    if table.empty:
        raise UserError("no Jacobian was recorded (rnnbench probe RUN records it)")
    table["value"] = table["value"].clip(lower=1e-12)
    figure, panels = grid(panels_of(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        draw_states(axes, rows, "lag", "value", marker="o")
        axes.axhline(1, color=GREY, linewidth=1.6, zorder=1)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("lag k (steps)")
        axes.set_ylabel("largest singular value")
        axes.grid(axis="y", color="#E5E5E5")
    figure.set_figwidth(max(figure.get_figwidth(), 8.8))  # as wide as the legend
    legend(figure, table, states_legend(table, {"h": "of h", "h,c": "of all states"}))
    return figure


@styled
def lyapunov_exponents(spectra: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Lyapunov exponents of the top layer's state, largest first; at 0 a change neither grows nor shrinks.

    Args:
        spectra: from `load_spectra`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no run was probed.
    """
    runs = label_runs(runs)
    table = top_layer(spectra[spectra["kind"] == "lyapunov_exponent"]).merge(runs, on="run_id")
    table = table[np.isfinite(table["value"])]
    if table.empty:
        raise UserError("no Lyapunov exponent was recorded (rnnbench probe RUN records them)")
    figure, panels = grid(panels_of(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        for line, _, colour in coloured_lines(rows):
            own = rows[rows["line"] == line].pivot(index="number", columns="run_id", values="value")
            draw_seeds(axes, own.set_axis(own.index + 1), colour, label=line)
        axes.axhline(0, color=GREY, linewidth=1.6, zorder=1)
        axes.set_ylim(bottom=max(axes.get_ylim()[0], -3))
        axes.set_xlabel("number of the exponent")
        axes.set_ylabel("Lyapunov exponent (1 / step)")
        axes.grid(axis="y", color="#E5E5E5")
    legend(figure, table)
    return figure
