"""What the state still knows of the first input."""

import pandas as pd
from matplotlib.figure import Figure

from rnnbench.analysis.selection import top_layer
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError
from rnnbench.figures.style import draw_states, grid, legend, panels_of, states_legend, styled


@styled
def memory(memory: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """How well the first input can be read off the top layer's h at every later step (all states together dashed): R^2.

    Args:
        memory: from `load_memory`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no run was probed.
    """
    runs = label_runs(runs)
    table = top_layer(memory).merge(runs, on="run_id").dropna(subset="r2")
    if table.empty:
        raise UserError("no memory was recorded (rnnbench probe RUN records it)")
    figure, panels = grid(panels_of(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        draw_states(axes, rows, "time", "r2")
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("steps after the first input")
        axes.set_ylabel("R² of the first input")
        axes.grid(axis="y", color="#E5E5E5")
    figure.set_figwidth(max(figure.get_figwidth(), 8.8))  # as wide as the legend
    legend(figure, table, states_legend(table, {"h": "of h", "h,c": "of all states"}))
    return figure
