"""What the state still knows about the first input."""

import pandas as pd
from matplotlib.figure import Figure

from rnnbench.analysis.selection import top_layer
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError
from rnnbench.figures.panels import states_figure
from rnnbench.figures.states import source_label
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
    figure, panels = states_figure(table, runs, "time", "r2", label=source_label)
    for axes in panels.values():
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("steps after the first input")
        axes.set_ylabel("R² of the first input")
    return figure
