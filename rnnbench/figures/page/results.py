"""The runs of a folder, and which of them the figures of the page draw."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from rnnbench.analysis.settings import label_runs
from rnnbench.analysis.statistics import results_of
from rnnbench.analysis.tables import load_runs
from rnnbench.figures.colours import Look, setting_looks
from rnnbench.figures.probed import Draw

MAX_SETTINGS = 24
"""Maximum number of settings of a task that figures draw."""


class Results(NamedTuple):
    """The runs of a folder.

    Attributes:
        folder: the results folder.
        runs: from `load_runs`.
        labelled: the result of `label_runs`.
        drawn: the rows of `labelled` whose settings the figures draw.
        looks: the looks of all settings.
        drawers: the functions that draw each table of a probe.
    """

    folder: Path
    runs: pd.DataFrame
    labelled: pd.DataFrame
    drawn: pd.DataFrame
    looks: Mapping[str, Look]
    drawers: Mapping[str, Sequence[Draw]]


def read(folder: Path, drawers: Mapping[str, Sequence[Draw]]) -> Results:
    """Reads the runs of a folder.

    Raises:
        UserError: there are no records.
    """
    runs = load_runs(folder)
    labelled = label_runs(runs)
    return Results(folder, runs, labelled, _drawn(labelled), setting_looks(labelled), drawers)


def about(results: Results) -> str:
    """Returns how many runs there are, and which settings are drawn if not all are."""
    counts = Counter("unfinished" if status == "running" else status for status in results.labelled["status"])
    told = ", ".join(f"{counts[kind]} {kind}" for kind in ("finished", "diverged", "unfinished") if counts[kind])
    text = f"{len(results.runs)} runs: {told}."
    for panel, of_task in results.labelled.groupby("panel", sort=False):
        settings = of_task["line"].nunique()
        if settings > MAX_SETTINGS:
            text += f" Figures draw the {MAX_SETTINGS} best by median of the {settings} settings of {panel}."
    return text


def _drawn(labelled: pd.DataFrame) -> pd.DataFrame:
    """Returns the runs of each task's best settings by median, as many as a figure can distinguish."""
    kept = []
    for _, of_task in labelled.assign(ranked=results_of(labelled)).groupby("panel", sort=False):
        medians = of_task.groupby("line")["ranked"].median()
        best = medians.sort_values(ascending=of_task["score_goal"].iloc[0] == "min", kind="stable")
        kept.append(of_task[of_task["line"].isin(best.index[:MAX_SETTINGS])])
    return pd.concat(kept).drop(columns="ranked")
