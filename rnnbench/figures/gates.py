"""What the gates do: word by word, and how long a unit keeps a state."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.analysis.labels import cell_label
from rnnbench.analysis.selection import at_last_step, top_layer
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError
from rnnbench.figures.panels import grid, states_figure
from rnnbench.figures.style import plain, styled

LONGEST = 1e6
"""The time constant, in steps, drawn for a unit that keeps its state for ever."""


@styled
def gate_traces(traces: pd.DataFrame, runs: pd.DataFrame, run_id: str | None = None) -> Figure:
    """Draws the gates of one run, word by word: a row for each gate, a column for each sentence, a line for each unit.

    Units are sorted by the difference between the gate's values at the last words of the last two sentences, or by
    their mean if there is only one sentence. Colours go from 0 to 1, or from -1 to 1 for signed gates.

    Args:
        traces: the table `gate_traces`.
        runs: from `load_runs`.
        run_id: the run to draw, by default the one whose score is the median of those with traces (the first of them,
            if several are as near to it). The top layer is drawn.

    Raises:
        UserError: the run has no traces.
    """
    with_traces = runs[runs["run_id"].isin(traces["run_id"])]
    chosen = with_traces if run_id is None else with_traces[with_traces["run_id"] == run_id]
    if chosen.empty:
        which = "any run" if run_id is None else f"run {run_id}"
        raise UserError(
            f"no gates were recorded word by word for {which}; rnnbench probe RUN records them for tasks with sentences"
        )
    results = label_runs(chosen)["result"]
    run = chosen.iloc[(results - results.median()).abs().fillna(np.inf).argmin()]
    rows = at_last_step(top_layer(traces[traces["run_id"] == run["run_id"]]))
    values = {
        (gate, sentence): own.pivot(index="unit", columns="time", values="value")
        for (gate, sentence), own in rows.groupby(["gate", "sentence"])
    }
    gates, sentences = (sorted(rows[name].unique()) for name in ("gate", "sentence"))
    words = {sentence: own.groupby("time")["word"].first() for sentence, own in rows.groupby("sentence")}
    figure, panels = grid([(gate, sentence) for gate in gates for sentence in sentences], columns=len(sentences))
    figure.set_figwidth(max(figure.get_figwidth(), 7.5))
    for (gate, sentence), axes in panels.items():
        last = [values[gate, other].iloc[:, -1] for other in sentences[-2:]]
        key = last[1] - last[0] if len(last) == 2 else values[gate, sentence].mean(axis=1)
        ordered = values[gate, sentence].loc[key.sort_values(kind="stable").index]
        signed = any((values[gate, other] < 0).any(axis=None) for other in sentences)
        mesh = axes.pcolormesh(
            ordered, cmap="RdBu_r" if signed else "viridis", vmin=-1 if signed else 0, vmax=1, rasterized=True
        )
        axes.set_xticks(
            np.arange(ordered.shape[1]) + 0.5,
            [plain(word) for word in words[sentence]],
            rotation=60,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set_yticks([])
        axes.set_ylabel("units")
        axes.set_title(f"{plain(gate)} gate")
        figure.colorbar(mesh, ax=axes, ticks=[-1, 0, 1] if signed else [0, 0.5, 1])
    figure.suptitle(f"{plain(cell_label(run['model.name']))}, seed {run.get('seed', 'unknown')}")
    return figure


@styled
def time_constants(retention: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draws the time constants of the top layer, 1 / (1 - r) steps, where r is the mean retention of a unit over time.

    After that many steps, a state to which nothing is added has shrunk to about 1 / e. The retention of an LSTM is its
    forget gate (for c), and that of a GRU its update gate (for h). The units of each run are sorted from the shortest
    to the longest time constant, so that the middle unit is at 50%.

    Args:
        retention: the table `retention`.
        runs: from `load_runs`; other runs in the table are not drawn.

    Raises:
        UserError: no run was probed, or no cell has such a factor.
    """
    runs = label_runs(runs)
    means = top_layer(retention).groupby(["run_id", "state", "unit"], as_index=False)["mean"].mean()
    means["steps"] = 1 / (1 - means["mean"].clip(upper=1 - 1 / LONGEST))
    of_state = means.groupby(["run_id", "state"])["steps"]
    means["share"] = 100 * (of_state.rank(method="first") - 0.5) / of_state.transform("size")
    table = means.merge(runs, on="run_id")
    if table.empty:
        raise UserError("no retention of states was recorded (rnnbench probe RUN records it)")
    figure, panels = states_figure(table, runs, "share", "steps")
    for axes in panels.values():
        axes.set_yscale("log")
        axes.set_xlim(0, 100)
        axes.set_xticks(np.arange(0, 101, 25))
        axes.set_xlabel("units, in % of all")
        axes.set_ylabel("time constant (steps)")
    return figure
