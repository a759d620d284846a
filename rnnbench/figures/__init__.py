"""Tables to figures: static ones by matplotlib, interactive ones by plotly, and the page of all results.

Each function of this package takes tables as `rnnbench.analysis.tables` gives them and returns a matplotlib `Figure`,
which shows itself in a notebook and is written by `save`. A panel is a task; a colour is a cell, everywhere the same.
Over a setting's seeds the line is the median, the band goes from minimum to maximum unless the function says otherwise,
and each seed is drawn faintly. No global state of matplotlib is touched, and the same tables give the same bytes.

Imports no JAX.
"""

from rnnbench.figures.gates import gate_traces, time_constants
from rnnbench.figures.gradients import gradient_flow, gradient_map, half_life
from rnnbench.figures.jacobians import lyapunov_exponents, singular_values
from rnnbench.figures.memory import memory
from rnnbench.figures.scores import learning_curves, score_by_distance, score_by_value
from rnnbench.figures.style import COLOURS, STYLE, save

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
    "score_by_distance",
    "score_by_value",
    "singular_values",
    "time_constants",
]
