"""What the gates do: word by word, and for how long a unit holds what it has."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from rnnbench.analysis.selection import at_last_step, top_layer
from rnnbench.analysis.settings import cell_label, in_order, label_runs
from rnnbench.errors import UserError
from rnnbench.figures.style import MORE_COLOURS, grid, panels_of, plain, styled


@styled
def gate_traces(traces: pd.DataFrame, runs: pd.DataFrame, run_id: str | None = None) -> Figure:
    """The gates of one run, word by word: a row for each gate, a column for each sentence, a line for each unit.

    Units are in the order of how differently the gate treats the two last sentences at their last word, or of their
    mean where there is one sentence. Colours go from 0 to 1, for gates with a sign from -1 to 1.

    Args:
        traces: from `load_gate_traces`.
        runs: from `load_runs`.
        run_id: which run; by default the first one that has traces. The top layer is drawn.

    Raises:
        UserError: the run has no traces.
    """
    with_traces = runs[runs["run_id"].isin(traces["run_id"])]
    chosen = with_traces if run_id is None else with_traces[with_traces["run_id"] == run_id]
    if chosen.empty:
        which = "any run" if run_id is None else f"run {run_id}"
        raise UserError(
            f"no gates were recorded word by word of {which} (rnnbench probe RUN records them, of tasks with sentences)"
        )
    run = chosen.iloc[0]
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
def time_constants(gates: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Time constants 1 / (1 - mean) of every gate between 0 and 1, sorted over the units of all seeds.

    Of an LSTM's forget gate and a GRU's update gate it is for how many steps a unit holds what it has. The mean is over
    the probe batch and time, of the top layer. A panel for each cell and task, a line for each gate.

    Args:
        gates: from `load_gates`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no run was probed, or no gate is between 0 and 1.
    """
    runs = label_runs(runs)
    table = top_layer(gates[gates["time_constant"].notna()]).merge(runs, on="run_id")
    if table.empty:
        raise UserError("no gates between 0 and 1 were recorded (rnnbench probe RUN records them)")
    means = table.groupby(["panel", "line", "gate", "run_id", "unit"], sort=False)["mean"].mean()
    constants = (1 / (1 - means.clip(upper=1 - 1e-6))).reset_index(name="steps")
    lines = [(panel, line) for panel in panels_of(runs, table) for line, _ in in_order(table[table["panel"] == panel])]
    lines = [(p, n) for p, n in lines if ((constants["panel"] == p) & (constants["line"] == n)).any()]
    figure, panels = grid(lines, sharey=True)
    for (panel, line), axes in panels.items():
        own = constants[(constants["panel"] == panel) & (constants["line"] == line)]
        for number, (gate, of_gate) in enumerate(own.groupby("gate")):
            steps = np.sort(of_gate["steps"])
            share = np.linspace(0, 100, len(steps))
            axes.plot(share, steps, label=plain(str(gate)), color=MORE_COLOURS[number % len(MORE_COLOURS)])
        axes.set_yscale("log")
        axes.set_title(f"{plain(line)}: {plain(panel)}")
        axes.set_xlabel("units, in % of all")
        axes.set_ylabel("time constant (steps)")
        axes.grid(axis="y", color="#E5E5E5")
        axes.legend()
    return figure
