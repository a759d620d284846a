"""The figures of probes: what they declare for their tables."""

import functools
import inspect
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from rnnbench.analysis.tables import load_table

Draw = Callable[..., Figure]
"""Draws a table and its runs. A function that also takes a `run_id` draws a single run."""


def probe_figures(
    folder: str | Path, runs: pd.DataFrame, drawers: Mapping[str, Sequence[Draw]]
) -> dict[str, Callable[[], Figure]]:
    """Returns functions that draw the tables in a results folder, by the figure's name.

    Args:
        folder: the results folder.
        runs: from `load_runs`.
        drawers: the functions that draw each table, see `rnnbench.probes.Probe.figures`. One that draws a single
            run is called for each cell, and the cell's name is appended to the figure's.
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
