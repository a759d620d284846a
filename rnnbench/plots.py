"""Record tables to figures: score against distance, learning curves, gradient flow.

Each function takes tables as `rnnbench.results` gives them and returns a matplotlib `Figure`, which shows itself in a
notebook and is written by `save`. A panel is a task; a colour is a cell, everywhere the same. Over a setting's seeds
the line is the median, the band goes from minimum to maximum, and each seed is drawn faintly. No global state of
matplotlib is touched, and the same tables give the same bytes.
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

from rnnbench.comparison import compare, in_order, metric_label
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
    table = _at_last_step(scores[scores["by"] == "distance"]).merge(runs, on="run_id")
    table = table[table["metric"] == table["score"]]
    if table.empty:
        raise UserError("no finished run has scores by distance")
    figure, panels = _grid(_panels(runs, table))
    for name, axes in panels.items():
        rows = table[table["panel"] == name]
        lines = _lines(rows)
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
        for line, _, colour in _lines(rows):
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
def gradient_flow(flow: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """How much of the gradient reaches each earlier time step: at initialisation, and after training.

    Drawn is ||dL/dh_t|| / ||dL/dh_T||, where T is the step whose output the loss is of (the last with a gradient), at
    T - t steps before it: time goes from left to right, and 10^-3 says that a thousandth of the gradient arrives. A
    cell state's ||dL/dc_t|| is dashed and relative to its own last norm above 0. Upper layers are paler. Norms below
    1e-9, or 0, leave the panel.

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
        "after training": _at_last_step(flow[flow["run_id"].isin(runs["run_id"][runs["status"] == "finished"])]),
    }
    tables = {moment: _relative(rows).merge(runs, on="run_id") for moment, rows in moments.items()}
    table = pd.concat(tables.values())
    names = _panels(runs, table)
    figure, panels = _grid([(name, moment) for name in names for moment in tables], columns=2, sharey="row")
    for (name, moment), axes in panels.items():
        rows = tables[moment][tables[moment]["panel"] == name]
        for line, _, colour in _lines(table[table["panel"] == name]):
            for (layer, state), own in rows[rows["line"] == line].groupby(["layer", "state"]):
                seeds = own.pivot(index="before", columns="run_id", values="share")
                seeds = seeds.where(seeds > 0, _SMALLEST_NORM * 1e-3)  # below the panel, where a logarithm still is
                dashes = "-" if state == "h" else (0, (2.5, 1.5))
                _draw_seeds(axes, seeds, _paler(colour, 0.3 * layer), label=line, linestyle=dashes)
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
    both = {"h": "hidden state h", "c": "cell state c"} if (table["state"] == "c").any() else {}
    extra = [
        Line2D([], [], color=_GREY, linestyle="-" if state == "h" else (0, (2.5, 1.5)), label=label)
        for state, label in both.items()
    ]
    _legend(figure, table, extra)
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


def _at_last_step(table: pd.DataFrame) -> pd.DataFrame:
    return table[table["step"] == table.groupby("run_id")["step"].transform("max")]


def _relative(flow: pd.DataFrame) -> pd.DataFrame:
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


def _lines(rows: pd.DataFrame) -> list[tuple[str, str, Any]]:
    """The settings among rows as (line, model, colour): a cell's further settings in paler colours."""
    found = in_order(rows)
    colours = _colours([model for _, model in found])
    seen: dict[str, int] = {}
    lines = []
    for line, model in found:
        variant = seen[model] = seen.get(model, -1) + 1
        variants = sum(other == model for _, other in found)
        lines.append((line, model, _paler(colours[model], 0.65 * variant / max(variants - 1, 1))))
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


def _paler(colour: Any, share: float) -> tuple[float, ...]:
    """A colour mixed with white."""
    return tuple(1 - (1 - channel) * (1 - min(share, 0.75)) for channel in to_rgb(colour))


def _legend(figure: Figure, table: pd.DataFrame, extra: Sequence[Line2D] = ()) -> None:
    """One legend above all panels, each line once."""
    handles: dict[str, Line2D] = {}
    for _, rows in table.groupby("panel", sort=False):
        for line, _, colour in _lines(rows):
            handles.setdefault(line, Line2D([], [], color=colour, linewidth=4, label=_plain(line)))
    known = [*handles.values(), *extra]
    width = sum(len(str(handle.get_label())) + 6 for handle in known)
    columns = len(known) if width < 11 * figure.get_figwidth() else max(1, int(figure.get_figwidth() // 4))
    figure.set_figheight(figure.get_figheight() + 0.33 * (-(-len(known) // columns) - 1))
    figure.legend(handles=known, loc="outside upper center", ncols=columns, handlelength=1.8, columnspacing=1.8)


def _plain(text: str) -> str:
    """Text from a config, shown as it is: a dollar sign would start a formula."""
    return text.replace("$", r"\$")
