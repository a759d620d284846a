"""How a small change of the state grows or shrinks."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.analysis.selection import top_layer
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError
from rnnbench.figures.colours import GREY, setting_looks, settings
from rnnbench.figures.legends import legend
from rnnbench.figures.panels import draw_seeds, grid, panels_of, states_figure
from rnnbench.figures.states import source_label
from rnnbench.figures.style import styled


@styled
def singular_values(spectra: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draws the largest singular value of dh_T / dh_{T-k} and of all states, for the top layer, against k.

    Above 1 (the grey line), a change of the state, or the gradient backwards in time, can grow over k steps.

    Args:
        spectra: the table `spectra`.
        runs: from `load_runs`; other runs in the table are not drawn.

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
    figure, panels = states_figure(table, runs, "lag", "value", marker="o", label=source_label)
    for axes in panels.values():
        axes.axhline(1, color=GREY, linewidth=1.6, zorder=1)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("lag k (steps)")
        axes.set_ylabel("largest singular value")
    return figure


@styled
def lyapunov_exponents(spectra: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draws the Lyapunov exponents of the top layer, largest first. At 0, a change neither grows nor shrinks.

    Args:
        spectra: the table `spectra`.
        runs: from `load_runs`; other runs in the table are not drawn.

    Raises:
        UserError: no run was probed.
    """
    runs = label_runs(runs)
    table = top_layer(spectra[spectra["kind"] == "lyapunov_exponent"]).merge(runs, on="run_id")
    table = table[np.isfinite(table["value"])]
    if table.empty:
        raise UserError("no Lyapunov exponent was recorded (rnnbench probe RUN records them)")
    looks = setting_looks(runs)
    figure, panels = grid(panels_of(runs, table))
    for name, axes in panels.items():
        for line, look, own in settings(table[table["panel"] == name], looks):
            seeds = own.pivot(index="number", columns="run_id", values="value")
            draw_seeds(axes, seeds.set_axis(seeds.index + 1), look, line)
        axes.axhline(0, color=GREY, linewidth=1.6, zorder=1)
        axes.set_ylim(bottom=max(axes.get_ylim()[0], -3))
        axes.set_xlabel("number of the exponent")
        axes.set_ylabel("Lyapunov exponent (1 / step)")
        axes.grid(axis="y")
    legend(figure, table, looks)
    return figure
