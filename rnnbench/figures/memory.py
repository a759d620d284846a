"""What the state still knows about the first input."""

import pandas as pd
from matplotlib.figure import Figure

from rnnbench.analysis.selection import top_layer
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError
from rnnbench.figures.colours import setting_looks
from rnnbench.figures.legends import legend, states_legend
from rnnbench.figures.panels import draw_states, grid, panels_of
from rnnbench.figures.states import source_label, state_dashes
from rnnbench.figures.style import styled


@styled
def memory(memory: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draws the R^2 with which the first input can be read from the top layer's h, and from all its states.

    Args:
        memory: the table `memory`.
        runs: from `load_runs`; other runs in the table are not drawn.

    Raises:
        UserError: no run was probed.
    """
    runs = label_runs(runs)
    table = top_layer(memory).merge(runs, on="run_id").dropna(subset="r2")
    if table.empty:
        raise UserError("no memory was recorded (rnnbench probe RUN records it)")
    looks, dashes = setting_looks(runs), state_dashes(table)
    figure, panels = grid(panels_of(runs, table))
    for name, axes in panels.items():
        draw_states(axes, table[table["panel"] == name], looks, dashes, "time", "r2")
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("steps after the first input")
        axes.set_ylabel("R² of the first input")
        axes.grid(axis="y")
    legend(figure, table, looks, states_legend(table, source_label))
    return figure
