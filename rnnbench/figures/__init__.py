"""Tables to figures: static ones by matplotlib, interactive ones by plotly, and the page of all results.

Each function of this package takes a table and the runs, as `rnnbench.analysis.tables` gives them, and returns a
matplotlib `Figure`, which shows itself in a notebook and is written by `save`. A panel is a task; a colour (with a
marker, where there are more cells than colours) is a cell, a pattern of dashes is a state, everywhere the same: pass
all runs of a folder, and choose what is drawn by the rows of the table.

Over a setting's seeds the line is the median, the band goes from minimum to maximum unless the function says otherwise,
and each seed is drawn faintly. No global state of matplotlib is touched, and the same tables give the same bytes.

Imports no JAX.
"""

from rnnbench.figures.gates import gate_traces, time_constants
from rnnbench.figures.gradients import gradient_flow, gradient_map, half_life
from rnnbench.figures.jacobians import lyapunov_exponents, singular_values
from rnnbench.figures.looks import COLOURS
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
