"""Tables to figures: static ones with matplotlib, interactive ones with plotly, and the page of all results.

Each function of this package takes a table and the runs, as returned by `rnnbench.analysis.tables`, and returns a
matplotlib `Figure`. A notebook displays it, and `save` writes it to files. A panel is a task, a colour (with a marker,
if there are more cells than colours) is a cell, and a pattern of dashes is a state. To keep them the same everywhere,
pass all runs of a folder, and select what is drawn by the rows of the table.

Lines are medians over the seeds of a setting. Bands go from minimum to maximum unless the function says otherwise, and
each seed is drawn faintly. Matplotlib's global state is not changed, and equal tables give equal files.

Imports no JAX.
"""

from rnnbench.figures.colours import COLOURS
from rnnbench.figures.gates import gate_traces, time_constants
from rnnbench.figures.gradients import gradient_flow, gradient_map, half_life
from rnnbench.figures.jacobians import lyapunov_exponents, singular_values
from rnnbench.figures.memory import memory
from rnnbench.figures.scores import learning_curves, score_by_value, scores_by
from rnnbench.figures.style import STYLE, save

__all__ = [
    "COLOURS",
    "STYLE",
    "gate_traces",
    "gradient_flow",
    "gradient_map",
    "half_life",
    "learning_curves",
    "lyapunov_exponents",
    "memory",
    "save",
    "score_by_value",
    "scores_by",
    "singular_values",
    "time_constants",
]
