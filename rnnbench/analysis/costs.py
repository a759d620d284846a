"""What a run costs: its parameters, the size of its state, and its time; and which runs cost about the same."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from rnnbench.analysis.numbers import number
from rnnbench.errors import UserError
from rnnbench.records.reader import known_provenance

COSTS: Mapping[str, tuple[str | None, str]] = {
    "parameters": ("size.parameters", "parameters"),
    "hidden_size": ("model.hidden_size", "hidden units"),
    "state_size": ("size.state_size", "numbers in the state"),
    "seconds": (None, "seconds"),
}
"""Each cost's column of the runs and its unit in words. Seconds are in the provenance of the jobs instead."""

ALIKE = 1.25
"""The largest ratio of two costs that count as about the same."""


def costs(runs: pd.DataFrame, by: str) -> "pd.Series[float]":
    """Returns what each run costs, by run id.

    The seconds of a run are the time that its job has trained, divided by the number of the job's runs.

    Args:
        runs: all runs of some jobs, from `load_runs`.
        by: one of `COSTS`.

    Raises:
        UserError: no run has recorded that cost.
    """
    column, unit = COSTS[by]
    if column is None:
        members = runs["folder"].value_counts()
        values = runs["folder"].map({folder: _seconds(str(folder)) / members[folder] for folder in members.index})
    else:
        values = runs[column] if column in runs else pd.Series(np.nan, runs.index)
    if values.isna().all():
        raise UserError(f"--by {by}: expected runs that have recorded their {unit}, got none; train them again")
    return pd.Series(values.to_numpy(float, na_value=np.nan), index=runs["run_id"])


def alike(costs: "pd.Series[float]") -> "pd.Series[int]":
    """Returns the number of each cost's group, from the smallest up; a missing cost is in a group of its own.

    A group holds all costs up to `ALIKE` times its smallest one.
    """
    found, smallest, group = {}, -np.inf, -1
    for cost in sorted(costs.dropna().unique()):
        if cost > ALIKE * smallest:
            smallest, group = cost, group + 1
        found[cost] = group
    return costs.map(found).fillna(group + 1).astype(int)


def split(labelled: pd.DataFrame, costs: "pd.Series[float]", by: str) -> pd.DataFrame:
    """Returns labelled runs whose panels are split into runs that cost about the same, the cheapest first.

    Args:
        labelled: from `label_runs`.
        costs: from `costs`.
        by: one of `COSTS`.
    """
    unit = COSTS[by][1]
    labelled = labelled.assign(cost=labelled["run_id"].map(costs))
    parts = []
    for panel, own in labelled.groupby("panel", sort=False):
        for _, rows in own.groupby(alike(own["cost"])):
            low, high = rows["cost"].min(), rows["cost"].max()
            said = f"unknown {unit}" if np.isnan(low) else f"{_range(low, high)} {unit}"
            parts.append(rows.assign(panel=f"{panel}, {said}"))
    return pd.concat(parts, ignore_index=True).drop(columns="cost")


def _range(low: float, high: float) -> str:
    first, last = (f"{cost:.0f}" if cost >= 1000 else number(cost) for cost in (low, high))
    return first if first == last else f"{first} to {last}"


def _seconds(folder: str) -> float:
    sessions = known_provenance(Path(folder))["sessions"]
    return sum(session["seconds"] for session in sessions) if sessions else float("nan")
