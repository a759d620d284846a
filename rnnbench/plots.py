"""Record tables to figures: scores, learning curves, gradient flow, gates, Jacobians, memory.

Each function takes tables as `rnnbench.results` gives them and returns a matplotlib `Figure`, which shows itself in a
notebook and is written by `save`. A panel is a task; a colour is a cell, everywhere the same. Over a setting's seeds
the line is the median, the band goes from minimum to maximum unless the function says otherwise, and each seed is drawn
faintly. No global state of matplotlib is touched, and the same tables give the same bytes.
"""

import zlib
from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from rnnbench.comparison import cell_label, compare, in_order, metric_label
from rnnbench.errors import UserError

COLOURS = {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73"}
"""Colours of the cells, from the palette of Okabe and Ito, which is safe for the colour-blind."""

_MORE_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C510A")
_GREY = "#6B6B6B"

STYLE: Any = {
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same everywhere
    "font.size": 15,
    "axes.titlesize": 16,
    "axes.titlelocation": "left",
    "axes.titlepad": 10,
    "axes.labelsize": 15,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "legend.fontsize": 15,
    "legend.frameon": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#444444",
    "axes.linewidth": 1.0,
    "axes.axisbelow": True,
    "lines.linewidth": 2.8,
    "lines.solid_capstyle": "round",
    "figure.dpi": 100,
    "savefig.dpi": 150,
    "svg.hashsalt": "rnnbench",  # the ids in an SVG file then follow from its content
    "svg.fonttype": "path",
}

_SMALLEST_NORM = 1e-9
"""Gradient flow is drawn down to this share of the last norm; what is below, or 0, leaves the panel."""

_P = ParamSpec("_P")


def _styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draws in our style, whatever the caller's is."""

    @wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with mpl.rc_context({**mpl.rcParamsDefault, **STYLE, "backend": mpl.rcParams["backend"]}):
            return draw(*args, **kwargs)

    return styled


@_styled
def score_by_distance(scores: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The test score in bins of the distance between the cue and the answer, at the end of training.

    Finished runs alone, since runs in training are not comparable. A bin stands at its far end on an axis
    logarithmic to the base of 2, the cells side by side around it.

    Args:
        scores: from `load_scores`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no finished run has scores by distance.
    """
    runs = compare(runs[runs["status"] == "finished"])
    table = at_last_step(scores[scores["by"] == "distance"]).merge(runs, on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        raise UserError("no finished run has scores by distance")
    figure, panels = _grid(_panels(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        lines = coloured_lines(rows)
        for i, (line, _, colour) in enumerate(lines):
            seeds = rows[rows["line"] == line].pivot(index="high", columns="run_id", values="value")
            seeds.index *= 1.08 ** (i - (len(lines) - 1) / 2)  # side by side: cells that are all right coincide
            _draw_seeds(axes, seeds, colour, label=line, marker="o")
        bins = rows[["low", "high"]].drop_duplicates().sort_values("high")
        axes.set_xscale("log", base=2)
        labels = [f"{low}-{high}" if low < high else f"{high}" for low, high in bins.itertuples(index=False)]
        axes.set_xticks(bins["high"], labels)
        axes.xaxis.set_minor_locator(NullLocator())
        axes.set_xlim(bins["high"].min() / 1.25, bins["high"].max() * 1.25)
        axes.set_xlabel("distance from the cue to the answer (steps)")
        _score_axis(axes, rows)
    _legend(figure, table)
    return figure


@_styled
def learning_curves(metrics: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The test score against training steps, of all runs, the unfinished too.

    A median ends where the first of its seeds ends. A cross marks where a run diverged.

    Args:
        metrics: from `load_metrics`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no run was evaluated.
    """
    runs = compare(runs)
    table = metrics[metrics["split"] == "test"].merge(runs, on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        raise UserError("no run has been evaluated yet")
    figure, panels = _grid(_panels(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        for line, _, colour in coloured_lines(rows):
            own = rows[rows["line"] == line]
            _draw_seeds(axes, own.pivot(index="step", columns="run_id", values="value"), colour, label=line)
            last = own[own["status"] == "diverged"].groupby("run_id").tail(1)
            axes.plot(last["step"], last["value"], "x", color=colour, markersize=11, markeredgewidth=3, zorder=5)
        axes.set_xlim(0, max(1, rows["step"].max()))
        axes.set_xlabel("training steps")
        _score_axis(axes, rows)
    extra = [Line2D([], [], color=_GREY, marker="x", linestyle="", markersize=11, markeredgewidth=3, label="diverged")]
    _legend(figure, table, extra if (table["status"] == "diverged").any() else [])
    return figure


@_styled
def score_by_value(runs: pd.DataFrame, key: str) -> Figure:
    """The final test score against the value of a key in which runs differ, such as `optimizer.learning_rate`.

    Of finished runs: the median over seeds, and a band between the quartiles.

    Args:
        runs: from `load_runs`.
        key: a column of it with numbers.

    Raises:
        UserError: finished runs do not differ in that key.
    """
    runs = runs[runs["status"] == "finished"]
    if key not in runs or runs[key].nunique() < 2:
        raise UserError(f"{key}: expected a key in which finished runs differ")
    runs = runs[runs[key].notna()]
    table = compare(runs.drop(columns=key)).assign(at=runs[key].to_numpy()).rename(columns={"result": "value"})
    figure, panels = _grid(_panels(table, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        for line, _, colour in coloured_lines(rows):
            quartiles = rows[rows["line"] == line].groupby("at")["value"].quantile([0.25, 0.5, 0.75]).unstack()
            at = quartiles.index.to_numpy()
            axes.fill_between(at, quartiles[0.25], quartiles[0.75], color=colour, alpha=0.16, linewidth=0)
            axes.plot(at, quartiles[0.5], color=colour, marker="o", markersize=7)
        if (rows["at"] > 0).all():
            axes.set_xscale("log")
        axes.set_xlabel(_plain(metric_label(key.rpartition(".")[2])))
        _score_axis(axes, rows)
    _legend(figure, table)
    return figure


@_styled
def gradient_flow(flow: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """How much of the gradient reaches each earlier time step: at initialisation, and after training.

    Drawn is ||dL/dh_t|| / ||dL/dh_T||, where T is the step whose output the loss is of (the last with a gradient), at
    T - t steps before it: time goes from left to right, and 10^-3 says that a thousandth of the gradient arrives. A
    cell state's ||dL/dc_t|| is dashed and relative to its own last norm above 0. Upper layers are paler. Norms below
    1e-9, or 0, leave the panel. Of a single run the band goes from the first to the last decile of the probe batch.

    Args:
        flow: from `load_gradient_flow`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no gradient flow was recorded.
    """
    runs = compare(runs)
    flow = flow[flow["run_id"].isin(runs["run_id"])]
    if flow.empty:
        raise UserError("no gradient flow was recorded (probe.gradient_flow=true records it)")
    moments = {
        "at initialisation": flow[flow["step"] == 0],
        "after training": at_last_step(flow[flow["run_id"].isin(runs["run_id"][runs["status"] == "finished"])]),
    }
    tables = {moment: relative_flow(rows).merge(runs, on="run_id") for moment, rows in moments.items()}
    table = pd.concat(tables.values())
    if table.empty:
        raise UserError("no step has a gradient: all that was recorded are norms of 0")
    names = _panels(runs, table)
    figure, panels = _grid([(name, moment) for name in names for moment in tables], columns=2, sharey="row")
    for (name, moment), axes in panels.items():
        rows = tables[moment][tables[moment]["panel"] == name]
        for line, _, colour in coloured_lines(table[table["panel"] == name]):
            for (layer, state), own in rows[rows["line"] == line].groupby(["layer", "state"]):
                seeds = own.pivot(index="before", columns="run_id", values="share")
                seeds = seeds.where(seeds > 0, _SMALLEST_NORM * 1e-3)  # below the panel, where a logarithm still is
                paint = paler(colour, 0.3 * layer)
                _draw_seeds(axes, seeds, paint, label=line, linestyle=_dashes(state))
                if len(seeds.columns) == 1:  # there are no seeds to differ, but the examples do
                    one = own.sort_values("before")
                    low, high = one["q10"] / one["last"], one["q90"] / one["last"]
                    axes.fill_between(one["before"], low, high, color=paint, alpha=0.16, linewidth=0)
        if rows.empty:
            axes.text(0.5, 0.5, "no finished run", transform=axes.transAxes, ha="center", color=_GREY)
        axes.set_yscale("log")
        axes.set_title(f"{_plain(name)}: {moment}")
        axes.set_xlabel("steps before the answer")
        axes.grid(axis="y", color="#E5E5E5")
    for name in names:
        shares = table["share"][(table["panel"] == name) & (table["share"] > 0)]
        axes = panels[name, "at initialisation"]
        axes.set_ylim(10 ** np.floor(np.log10(max(shares.min(), _SMALLEST_NORM))), shares.max() * 2)
        axes.set_ylabel("gradient norm\nrelative to the answer's")
        for moment in tables:
            panels[name, moment].set_xlim(table["before"][table["panel"] == name].max(), 0)
    _legend(figure, table, _states_legend(table))
    return figure


@_styled
def half_life(metrics: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The half-life of the gradient on its way back, against training steps: of the top layer's h, and of c dashed.

    A gradient that does not decay has none, and leaves a gap.

    Args:
        metrics: from `load_metrics`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no half-life was recorded.
    """
    runs = compare(runs)
    # Of the rate, which is recorded where it is negative, too.
    table = metrics[(metrics["split"] == "probe") & metrics["metric"].str.startswith("decay_rate.")]
    table = table.merge(runs, on="run_id")
    if table.empty:
        raise UserError("no half-life was recorded (probe.gradient_flow=true)")
    parts = table["metric"].str.split(".", expand=True)
    table = _top_layer(table.assign(layer=parts[1].astype(int), state=parts[2]))
    table["value"] = np.log(2) / table["value"].where(table["value"] > 0)
    figure, panels = _grid(_panels(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        _draw_states(axes, rows, "step", "value")
        axes.set_yscale("log")
        axes.set_xlabel("training steps")
        axes.set_ylabel("half-life of the gradient (steps)")
        axes.grid(axis="y", color="#E5E5E5")
    figure.set_figwidth(max(figure.get_figwidth(), 8.8))  # as wide as the legend
    _legend(figure, table, _states_legend(table))
    return figure


@_styled
def gradient_map(flow: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The gradient at every time step through training: training step upwards, time from left to right.

    The colour is log10 of ||dL/dh_t|| relative to the answer's (see `gradient_flow`), the median over seeds, of the top
    layer; a millionth and less have one colour. A panel for each cell and state.

    Args:
        flow: from `load_gradient_flow`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no gradient flow was recorded.
    """
    runs = compare(runs)
    flow = flow[flow["run_id"].isin(runs["run_id"])]
    if flow.empty:
        raise UserError("no gradient flow was recorded (probe.gradient_flow=true records it)")
    table = relative_flow(_top_layer(flow)).merge(runs, on="run_id")
    if table.empty:
        raise UserError("no step has a gradient: all that was recorded are norms of 0")
    states = {
        (panel, line, state): rows
        for panel in _panels(runs, table)
        for line, _, _ in coloured_lines(table[table["panel"] == panel])
        for state, rows in table[(table["panel"] == panel) & (table["line"] == line)].groupby("state")
    }
    figure, panels = _grid(list(states), columns=2 if len(states) % 4 == 0 else None)  # 4 or 8 fill two columns
    for (panel, line, state), axes in panels.items():
        rows = states[panel, line, state]
        grid = rows.groupby(["step", "before"])["share"].median().unstack().sort_index(axis=1, ascending=False)
        shown = np.log10(grid.clip(lower=1e-12))  # a norm of 0 has a colour, too
        mesh = axes.pcolormesh(grid.columns, grid.index, shown, cmap="viridis", vmin=-6, vmax=0, rasterized=True)
        axes.set_xlim(rows["before"].max() + 0.5, rows["before"].min() - 0.5)
        axes.set_title(f"{_plain(line)}, {state}: {_plain(panel)}")
        axes.set_xlabel("steps before the answer")
        axes.set_ylabel("training steps")
    bar = figure.colorbar(mesh, ax=list(panels.values()), ticks=[-6, -4, -2, 0], shrink=0.6)
    bar.set_ticklabels(["$10^{-6}$", "$10^{-4}$", "$10^{-2}$", "1"])
    bar.set_label("gradient norm, relative")
    return figure


@_styled
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
    rows = at_last_step(_top_layer(traces[traces["run_id"] == run["run_id"]]))
    values = {
        (gate, sentence): own.pivot(index="unit", columns="time", values="value")
        for (gate, sentence), own in rows.groupby(["gate", "sentence"])
    }
    gates, sentences = (sorted(rows[name].unique()) for name in ("gate", "sentence"))
    words = {sentence: own.groupby("time")["word"].first() for sentence, own in rows.groupby("sentence")}
    figure, panels = _grid([(gate, sentence) for gate in gates for sentence in sentences], columns=len(sentences))
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
            [_plain(word) for word in words[sentence]],
            rotation=60,
            ha="right",
            rotation_mode="anchor",
        )
        axes.set_yticks([])
        axes.set_ylabel("units")
        axes.set_title(f"{_plain(gate)} gate")
        figure.colorbar(mesh, ax=axes, ticks=[-1, 0, 1] if signed else [0, 0.5, 1])
    figure.suptitle(f"{_plain(cell_label(run['model.name']))}, seed {run.get('seed', 'unknown')}")
    return figure


@_styled
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
    runs = compare(runs)
    table = _top_layer(gates[gates["time_constant"].notna()]).merge(runs, on="run_id")
    if table.empty:
        raise UserError("no gates between 0 and 1 were recorded (rnnbench probe RUN records them)")
    means = table.groupby(["panel", "line", "gate", "run_id", "unit"], sort=False)["mean"].mean()
    constants = (1 / (1 - means.clip(upper=1 - 1e-6))).reset_index(name="steps")
    lines = [(panel, line) for panel in _panels(runs, table) for line, _ in in_order(table[table["panel"] == panel])]
    lines = [(p, n) for p, n in lines if ((constants["panel"] == p) & (constants["line"] == n)).any()]
    figure, panels = _grid(lines, sharey=True)
    for (panel, line), axes in panels.items():
        own = constants[(constants["panel"] == panel) & (constants["line"] == line)]
        for number, (gate, of_gate) in enumerate(own.groupby("gate")):
            steps = np.sort(of_gate["steps"])
            share = np.linspace(0, 100, len(steps))
            axes.plot(share, steps, label=_plain(str(gate)), color=_MORE_COLOURS[number % len(_MORE_COLOURS)])
        axes.set_yscale("log")
        axes.set_title(f"{_plain(line)}: {_plain(panel)}")
        axes.set_xlabel("units, in % of all")
        axes.set_ylabel("time constant (steps)")
        axes.grid(axis="y", color="#E5E5E5")
        axes.legend()
    return figure


@_styled
def singular_values(spectra: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """The largest singular value of dh_{t+k} / dh_t against k, of the top layer; that of all states together dashed.

    Above 1 (the grey line) a change of the state, or the gradient on its way back, can grow over k steps.

    Args:
        spectra: from `load_spectra`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no run was probed.
    """
    runs = compare(runs)
    table = _top_layer(spectra[(spectra["kind"] == "singular_value") & (spectra["number"] == 0)]).merge(
        runs, on="run_id"
    )
    if table.empty:
        raise UserError("no Jacobian was recorded (rnnbench probe RUN records it)")
    table["value"] = table["value"].clip(lower=1e-12)
    figure, panels = _grid(_panels(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        _draw_states(axes, rows, "lag", "value", marker="o")
        axes.axhline(1, color=_GREY, linewidth=1.6, zorder=1)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set_xlabel("lag k (steps)")
        axes.set_ylabel("largest singular value")
        axes.grid(axis="y", color="#E5E5E5")
    figure.set_figwidth(max(figure.get_figwidth(), 8.8))  # as wide as the legend
    _legend(figure, table, _states_legend(table, {"h": "of h", "h,c": "of all states"}))
    return figure


@_styled
def lyapunov_exponents(spectra: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Lyapunov exponents of the top layer's state, largest first; at 0 a change neither grows nor shrinks.

    Args:
        spectra: from `load_spectra`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no run was probed.
    """
    runs = compare(runs)
    table = _top_layer(spectra[spectra["kind"] == "lyapunov_exponent"]).merge(runs, on="run_id")
    table = table[np.isfinite(table["value"])]
    if table.empty:
        raise UserError("no Lyapunov exponent was recorded (rnnbench probe RUN records them)")
    figure, panels = _grid(_panels(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        for line, _, colour in coloured_lines(rows):
            own = rows[rows["line"] == line].pivot(index="number", columns="run_id", values="value")
            _draw_seeds(axes, own.set_axis(own.index + 1), colour, label=line)
        axes.axhline(0, color=_GREY, linewidth=1.6, zorder=1)
        axes.set_ylim(bottom=max(axes.get_ylim()[0], -3))
        axes.set_xlabel("number of the exponent")
        axes.set_ylabel("Lyapunov exponent (1 / step)")
        axes.grid(axis="y", color="#E5E5E5")
    _legend(figure, table)
    return figure


@_styled
def memory(memory: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """How well the first input can be read off the top layer's h at every later step (all states together dashed): R^2.

    Args:
        memory: from `load_memory`.
        runs: from `load_runs`; what it does not contain is not drawn.

    Raises:
        UserError: no run was probed.
    """
    runs = compare(runs)
    table = _top_layer(memory).merge(runs, on="run_id").dropna(subset="r2")
    if table.empty:
        raise UserError("no memory was recorded (rnnbench probe RUN records it)")
    figure, panels = _grid(_panels(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        _draw_states(axes, rows, "time", "r2")
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel("steps after the first input")
        axes.set_ylabel("R² of the first input")
        axes.grid(axis="y", color="#E5E5E5")
    figure.set_figwidth(max(figure.get_figwidth(), 8.8))  # as wide as the legend
    _legend(figure, table, _states_legend(table, {"h": "of h", "h,c": "of all states"}))
    return figure


def save(figure: Figure, stem: str | Path) -> list[Path]:
    """Writes `<stem>.png` and `<stem>.svg`, the same bytes for the same figure; their paths.

    Raises:
        UserError: they cannot be written.
    """
    stem = Path(stem)
    paths = [stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg")]
    try:
        stem.parent.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(STYLE):
            for path in paths:
                figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None)
    except OSError as error:
        raise UserError(f"cannot write the figure {stem}.*: {error.strerror or error}") from error
    return paths


def _states_legend(table: pd.DataFrame, labels: dict[str, str] | None = None) -> list[Line2D]:
    """What full and dashed lines are, where there are both."""
    labels = labels or {"h": "hidden state h", "c": "cell state c"}
    if set(table["state"]) == {"h"}:
        return []
    return [Line2D([], [], color=_GREY, linestyle=_dashes(state), label=label) for state, label in labels.items()]


def _top_layer(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["layer"] == table.groupby("run_id")["layer"].transform("max")]


def at_last_step(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of each run's last step."""
    return table[table["step"] == table.groupby("run_id")["step"].transform("max")]


def relative_flow(flow: pd.DataFrame) -> pd.DataFrame:
    """Adds `before`, the steps before the last with a gradient, and `share`, the norm by the state's last above 0.

    What comes later is left out: the loss does not depend on it. (On c at the answer it depends through h alone.)
    """
    moment, state = ["run_id", "step"], ["run_id", "step", "layer", "state"]
    some = flow[flow["norm"] > 0].sort_values("time", kind="stable")
    flow = flow.merge(some.groupby(moment, as_index=False).agg(answer=("time", "max")), on=moment)
    flow = flow.merge(some.groupby(state, as_index=False).agg(end=("time", "last"), last=("norm", "last")), on=state)
    flow = flow[flow["time"] <= flow["end"]]
    return flow.assign(before=flow["answer"] - flow["time"], share=flow["norm"] / flow["last"])


def _panels(compared: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Names of the panels that have rows, in the order of the runs."""
    return [str(name) for name in compared["panel"].unique() if (table["panel"] == name).any()]


def _grid(names: Sequence[Any], columns: int | None = None, **options: Any) -> tuple[Figure, dict[Any, Axes]]:
    """A figure with a titled panel for each name, at most three in a row."""
    columns = columns or min(len(names), 3)
    rows = -(-len(names) // columns)
    figure = Figure(
        figsize=(6.6 * columns, 4.4 * rows + 0.6), layout=ConstrainedLayoutEngine(w_pad=0.1, h_pad=0.1, wspace=0.04)
    )
    grid = figure.subplots(rows, columns, squeeze=False, **options).ravel()
    for axes in grid[len(names) :]:
        axes.set_axis_off()
    panels = dict(zip(names, grid, strict=False))
    for name, axes in panels.items():
        axes.set_title(_plain(str(name)))
    return figure, panels


def _draw_seeds(axes: Axes, seeds: pd.DataFrame, colour: Any, label: str, **style: Any) -> None:
    """Each seed (a column) faintly; over those rows that all seeds have, the band and the median."""
    for name in seeds:
        seed = seeds[name].dropna()
        if len(seeds.columns) > 1:
            axes.plot(seed.index, seed, color=colour, linewidth=1.0, alpha=0.4, linestyle=style.get("linestyle", "-"))
    common = seeds.dropna()
    axes.fill_between(common.index, common.min(axis=1), common.max(axis=1), color=colour, alpha=0.16, linewidth=0)
    axes.plot(common.index, common.median(axis=1), color=colour, markersize=7, label=_plain(label), zorder=4, **style)


def _draw_states(axes: Axes, rows: pd.DataFrame, index: str, values: str, **style: Any) -> None:
    """`_draw_seeds` of every setting and state."""
    for line, _, colour in coloured_lines(rows):
        for state, own in rows[rows["line"] == line].groupby("state"):
            seeds = own.pivot(index=index, columns="run_id", values=values)
            _draw_seeds(axes, seeds, colour, label=line, linestyle=_dashes(state), **style)


def _dashes(state: Any) -> Any:
    """The hidden state is drawn in full, others dashed."""
    return "-" if state == "h" else (0, (2.5, 1.5))


def _score_axis(axes: Axes, rows: pd.DataFrame) -> None:
    """The score's axis, with its chance level: a share of all from 0 or chance to 1, an error on a log scale."""
    score, goal = rows["score"].iloc[0], rows["score_goal"].iloc[0]
    chance = rows["chance"].dropna().unique()
    axes.set_ylabel(_plain(metric_label(score)) + (" (lower is better)" if goal == "min" else ""))
    axes.grid(axis="y", color="#E5E5E5")
    values = rows["value"][np.isfinite(rows["value"])]
    if goal == "min" and (values > 0).all():
        axes.set_yscale("log")
        low, high = min([*values, *chance]), max([*values, *chance])
        axes.set_ylim(low / 1.6, high * 1.9)
    elif goal == "max" and values.between(0, 1).all():
        low = min([*values, *chance])
        axes.set_ylim(max(0.0, low - 0.08), 1.03)
    for level in chance:
        axes.axhline(level, color=_GREY, linewidth=1.6, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            "chance",
            (1.01, level),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            annotation_clip=False,
            color=_GREY,
            fontsize=13,
        )


def coloured_lines(rows: pd.DataFrame) -> list[tuple[str, str, tuple[float, float, float]]]:
    """The settings among rows as (line, model, colour): a cell's further settings in paler colours."""
    found = in_order(rows)
    colours = _colours([model for _, model in found])
    seen: dict[str, int] = {}
    lines = []
    for line, model in found:
        variant = seen[model] = seen.get(model, -1) + 1
        variants = sum(other == model for _, other in found)
        lines.append((line, model, paler(colours[model], 0.65 * variant / max(variants - 1, 1))))
    return lines


def _colours(models: Sequence[str]) -> dict[str, str]:
    """Colours by cell: the known ones', and for others one that their name picks, or the next that is free."""
    colours = {model: COLOURS[model] for model in models if model in COLOURS}
    for model in sorted(set(models) - set(COLOURS)):
        first = zlib.crc32(model.encode()) % len(_MORE_COLOURS)
        choices = [_MORE_COLOURS[(first + step) % len(_MORE_COLOURS)] for step in range(len(_MORE_COLOURS))]
        free = [colour for colour in choices if colour not in colours.values()]
        colours[model] = (free or choices)[0]
    return colours


def paler(colour: Any, share: float) -> tuple[float, float, float]:
    """A colour mixed with white."""
    red, green, blue = (1 - (1 - channel) * (1 - min(share, 0.75)) for channel in to_rgb(colour))
    return red, green, blue


def _legend(figure: Figure, table: pd.DataFrame, extra: Sequence[Line2D] = ()) -> None:
    """One legend above all panels, each line once."""
    handles: dict[str, Line2D] = {}
    for _, rows in table.groupby("panel", sort=False):
        for line, _, colour in coloured_lines(rows):
            handles.setdefault(line, Line2D([], [], color=colour, linewidth=4, label=_plain(line)))
    known = [*handles.values(), *extra]
    width = sum(len(str(handle.get_label())) + 6 for handle in known)
    columns = len(known) if width < 11 * figure.get_figwidth() else max(1, int(figure.get_figwidth() // 4))
    figure.set_figheight(figure.get_figheight() + 0.33 * (-(-len(known) // columns) - 1))
    figure.legend(handles=known, loc="outside upper center", ncols=columns, handlelength=1.8, columnspacing=1.8)


def _plain(text: str) -> str:
    """Text from a config, shown as it is: a dollar sign would start a formula."""
    return text.replace("$", r"\$")
