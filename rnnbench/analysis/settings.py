"""How runs are grouped: each task is a panel, each setting a line in it, and the runs of a setting are its seeds."""

import re
from typing import Any

import numpy as np
import pandas as pd

from rnnbench.analysis.labels import CELLS, cell_label, metric_label, title
from rnnbench.records.schemas import FOUND
from rnnbench.visible import visible

_NOT_CONFIG = {"run_id", "status", "step", "solved_at", "diverged_at", "score", "score_goal", "folder", "seed"}


def label_runs(runs: pd.DataFrame) -> pd.DataFrame:
    """Returns each run's place in a comparison: one row per run, in the given order.

    Columns: run_id, seed, status, reached (its step), solved_at, score, score_goal, result (its final score), chance
    (the task's level of that score), length (the task's, if it has one), model (the cell's name), panel (names its
    task) and line (names its setting).

    A panel is the task's name, followed by the arguments in which its runs differ ("Adding, length 100"). A line is the
    cell's name, followed by the configuration values, apart from the seed, in which the runs of that cell on that task
    differ ("LSTM, learning rate 0.003"). A value that all runs of a cell share, such as its own tuned learning rate, is
    not named.
    """
    runs = runs.reset_index(drop=True)
    config = config_keys(runs)
    of_task = [name for name in config if name.startswith("task.") and name != "task.name"]
    others = [name for name in config if not name.startswith("task.") and name != "model.name"]
    panels = _labels(runs, [runs["task.name"]], of_task, runs["task.name"].map(title))
    lines = _labels(runs, [panels, runs["model.name"]], others, runs["model.name"].map(cell_label))
    seed: Any = runs.get("seed", pd.NA)
    length: Any = runs.get("task.length", np.nan)
    labelled = runs[["run_id", "status", "solved_at", "score", "score_goal"]].assign(
        seed=seed, reached=runs["step"], length=length, model=runs["model.name"], panel=panels, line=lines
    )
    for name, prefix in (("result", "final"), ("chance", "chance")):
        labelled[name] = np.nan
        for score in set(runs["score"]) & {column.removeprefix(f"{prefix}.") for column in map(str, runs)}:
            own = runs["score"] == score
            labelled.loc[own, name] = runs.loc[own, f"{prefix}.{score}"].to_numpy(float, na_value=np.nan)
    return labelled


def config_keys(runs: pd.DataFrame) -> list[str]:
    """Returns the runs' columns that are configuration keys, except the seed."""
    return [name for name in map(str, runs) if name not in _NOT_CONFIG and not name.startswith(FOUND)]


def in_order(labelled: pd.DataFrame) -> list[tuple[str, str]]:
    """Returns the distinct (line, model): built-in cells first, others by name; settings of a cell by value."""
    known = list(CELLS)

    def key(pair: tuple[str, str]) -> tuple[Any, ...]:
        line, model = pair
        numbers = re.split(r"(\d+(?:\.\d*)?(?:e[+-]?\d+)?)", line)
        natural = [(float(text), "") if odd % 2 else (0.0, text) for odd, text in enumerate(numbers)]
        return known.index(model) if model in known else len(known), model, natural

    distinct = labelled[["line", "model"]].drop_duplicates()  # there may be very many rows
    return sorted(zip(distinct["line"], distinct["model"], strict=True), key=key)


def _labels(
    runs: pd.DataFrame, alike: "list[pd.Series[str]]", columns: list[str], first: "pd.Series[str]"
) -> "pd.Series[str]":
    """Returns `first`, followed by the values of the columns that vary among runs with equal `alike`."""
    labels = first.astype(object)
    for rows in runs.groupby([series.to_numpy() for series in alike], sort=False).indices.values():
        for name in columns:
            values = runs[name].iloc[rows]
            option = f"{name.partition('.')[0]}.name"  # of the group that has this key, such as schedule.name
            implied = option != name and option in runs  # by the option, if the value does not differ among its runs
            alternatives = values.groupby(runs[option].iloc[rows].map(str)) if implied else values
            if np.max(alternatives.nunique(dropna=False)) > 1:
                key = metric_label(name.removesuffix(".name").rpartition(".")[2])
                said = values.map(_text, na_action="ignore" if implied else None)
                labels.iloc[rows] += (", " + key + " " + said).fillna("")
    return labels


def _text(value: Any) -> str:
    if pd.isna(value):
        return "none"
    return f"{value:g}" if isinstance(value, float) else visible(str(value))
