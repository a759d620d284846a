"""The figures of what probes measured: whatever they declare to draw their tables."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from rnnbench.analysis.tables import load_table

Draw = Callable[..., Figure]
"""A table and the runs to a figure; a function that takes a `run_id`, too, draws one run."""


def probe_figures(
    folder: str | Path, runs: pd.DataFrame, drawers: Mapping[str, Sequence[Draw]]
) -> dict[str, Callable[[], Figure]]:
    """Returns what draws the tables in a results folder, by the figure's name.

    Args:
        folder: the results.
        runs: from `load_runs`.
        drawers: for each table the functions that draw it, as `rnnbench.probes.Probe.figures` names them. One that
            draws a single run is called for each cell, and the cell's name is added to the figure's.
    """
    cells = runs.set_index("run_id")["model.name"]
    found: dict[str, Callable[[], Figure]] = {}
    for name, functions in drawers.items():
        table = load_table(folder, name)
        if table.empty:
            continue
        for draw in functions:
            if "run_id" in inspect.signature(draw).parameters:
                for cell, own in table.groupby(table["run_id"].map(cells)):
                    found[f"{draw.__name__}_{cell}"] = functools.partial(draw, own, runs)
            else:
                found[draw.__name__] = functools.partial(draw, table, runs)
    return found
