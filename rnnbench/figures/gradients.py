"""How the gradient changes over time, and during training."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from rnnbench.analysis.selection import relative_flow, top_layer
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError
from rnnbench.figures.colours import GREY, PALETTE, Look, setting_looks, settings
from rnnbench.figures.legends import legend, states_legend
from rnnbench.figures.panels import draw_seeds, grid, panels_of, states_figure
from rnnbench.figures.states import Dash, layers, state_dashes, states
from rnnbench.figures.style import plain, styled

Looks = Mapping[str, Look]
Dashes = Mapping[tuple[str, str], Dash]

MOMENTS = ("at initialisation", "after training")

_SMALLEST_NORM = 1e-9
"""Gradient flow is drawn down to this share of the last norm. Smaller values, and 0, leave the panel."""


@styled
def gradient_flow(flow: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draws how much of the gradient reaches each earlier time step: at initialisation, and after training.

    The figure shows ||dL/dh_t|| / ||dL/dh_T|| against T - t, where T is the step whose output the loss depends on (the
    last with a gradient). Time goes from left to right, and 10^-3 means that a thousandth of the gradient arrives. Each
    other state has its own dashes, and its norms are relative to its own last norm above 0. Upper layers are paler.
    Values below 1e-9, and 0, leave the panel. For a single run, the band goes from the first to the last decile of the
    probe batch.

    Each task has two panels, one for each moment. If there are more settings than colours, each setting has a panel
    instead, in which what it was at initialisation is grey.

    Args:
        flow: the table `gradient_flow`.
        runs: from `load_runs`; other runs in the table are not drawn.

    Raises:
        UserError: no gradient flow was recorded.
    """
    runs = label_runs(runs)
    flow = flow.assign(last_step=flow.groupby("run_id")["step"].transform("max"))
    table = _relative(flow[(flow["step"] == 0) | (flow["step"] == flow["last_step"])], runs)
    initial, trained = table["step"] == 0, (table["step"] == table["last_step"]) & (table["status"] == "finished")
    moments = [table[initial].assign(moment=MOMENTS[0]), table[trained].assign(moment=MOMENTS[1])]
    table = pd.concat([moment for moment in moments if not moment.empty])
    looks, dashes = setting_looks(runs), state_dashes(table)
    many = runs.groupby("panel")["line"].nunique().max() > len(PALETTE)
    return (_flow_by_setting if many else _flow_by_moment)(table, runs, looks, dashes)


def _flow_by_moment(table: pd.DataFrame, runs: pd.DataFrame, looks: Looks, dashes: Dashes) -> Figure:
    """Draws the settings of a task together: at initialisation, and after training."""
    names = panels_of(runs, table)
    figure, panels = grid([(name, moment) for name in names for moment in MOMENTS], columns=2, sharey="row")
    for (name, moment), axes in panels.items():
        rows = table[(table["panel"] == name) & (table["moment"] == moment)]
        for line, look, of_line in settings(rows, looks):
            _draw_flow(axes, of_line, look, line, dashes)
        if rows.empty:
            axes.text(0.5, 0.5, "no finished run", transform=axes.transAxes, ha="center", color=GREY)
        axes.set_title(f"{plain(name)}: {moment}")
        axes.set_xlabel("steps before the answer")
    for name in names:
        panels[name, MOMENTS[0]].set_ylabel("gradient norm\nrelative to the answer's")
        _flow_axes([panels[name, moment] for moment in MOMENTS], table[table["panel"] == name])
    legend(figure, table, looks, states_legend(table))
    return figure


def _flow_by_setting(table: pd.DataFrame, runs: pd.DataFrame, looks: Looks, dashes: Dashes) -> Figure:
    """Draws each setting apart: at initialisation in grey, after training in its colour."""
    names = panels_of(runs, table)
    pairs = [(name, line) for name in names for line, _, _ in settings(table[table["panel"] == name], looks)]
    figure, panels = grid(pairs, columns=4, size=(4.2, 2.9), sharex=len(names) == 1, sharey=len(names) == 1)
    for (name, line), axes in panels.items():
        rows = table[(table["panel"] == name) & (table["line"] == line)]
        for moment, look in zip(MOMENTS, (Look(GREY), Look(looks[line].colour)), strict=True):
            _draw_flow(axes, rows[rows["moment"] == moment], look, moment, dashes)
        axes.set_title(plain(line if len(names) == 1 else f"{line}: {name}"))
        _flow_axes([axes], table[table["panel"] == name])
    figure.supxlabel("steps before the answer")
    figure.supylabel("gradient norm relative to the answer's")
    moments = [
        Line2D([], [], color=GREY, label=MOMENTS[0]),
        Line2D([], [], color="black", label=f"{MOMENTS[1]} (in colour)"),
    ]
    legend(figure, table, {}, [*moments, *states_legend(table)])
    return figure


def _draw_flow(axes: Axes, rows: pd.DataFrame, look: Look, label: str, dashes: Dashes) -> None:
    """Draws the flow of a setting's seeds at one moment, for each layer and state."""
    for layer, _, dash, own in layers(rows, dashes):
        seeds = own.pivot(index="before", columns="run_id", values="share")
        seeds = seeds.where(seeds > 0, _SMALLEST_NORM * 1e-3)  # below the panel, but finite on a log scale
        of_layer = look.paler(0.3 * layer)
        draw_seeds(axes, seeds, of_layer, label, dash)
        if len(seeds.columns) == 1:  # no spread over seeds, so show that over examples
            one = own.sort_values("before")
            low, high = one["q10"] / one["last"], one["q90"] / one["last"]
            axes.fill_between(one["before"], low, high, color=of_layer.colour, alpha=0.16, linewidth=0)


def _flow_axes(panels: Sequence[Axes], rows: pd.DataFrame) -> None:
    """Sets up the axes of panels that show these rows."""
    shares = rows["share"][rows["share"] > 0]
    for axes in panels:
        axes.set_yscale("log")
        axes.set_ylim(10 ** np.floor(np.log10(max(shares.min(), _SMALLEST_NORM))), shares.max() * 2)
        axes.set_xlim(rows["before"].max(), 0)
        axes.grid(axis="y")


def _relative(flow: pd.DataFrame, labelled: pd.DataFrame) -> pd.DataFrame:
    """Returns `relative_flow` of the labelled runs.

    Raises:
        UserError: nothing was recorded for them, or nothing but norms of 0.
    """
    flow = flow[flow["run_id"].isin(labelled["run_id"])]
    if flow.empty:
        raise UserError("no gradient flow was recorded (probe.at_evaluation=[gradient_flow] records it)")
    table = relative_flow(flow).merge(labelled, on="run_id")
    if table.empty:
        raise UserError("no step has a gradient: all that was recorded are norms of 0")
    return table


@styled
def half_life(metrics: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draws the half-life of the gradient backwards in time, for the top layer's states, against training steps.

    A gradient that does not decay has no half-life and leaves a gap.

    Args:
        metrics: the table `metrics`.
        runs: from `load_runs`; other runs in the table are not drawn.

    Raises:
        UserError: no half-life was recorded.
    """
    runs = label_runs(runs)
    # From the decay rate, which is also recorded if it is negative.
    table = metrics[(metrics["split"] == "probe") & metrics["metric"].str.startswith("decay_rate.")]
    table = table.merge(runs, on="run_id")
    if table.empty:
        raise UserError("no half-life was recorded (probe.at_evaluation=[gradient_flow] records it)")
    parts = table["metric"].str.split(".", expand=True)
    table = top_layer(table.assign(layer=parts[1].astype(int), state=parts[2]))
    table["value"] = np.log(2) / table["value"].where(table["value"] > 0)
    figure, panels = states_figure(table, runs, "step", "value")
    for axes in panels.values():
        axes.set_yscale("log")
        axes.set_xlabel("training steps")
        axes.set_ylabel("half-life of the gradient (steps)")
    return figure


@styled
def gradient_map(flow: pd.DataFrame, runs: pd.DataFrame) -> Figure:
    """Draws the gradient at every time step during training: training goes upwards, time from left to right.

    The colour is log10 of ||dL/dh_t|| relative to the answer's (see `gradient_flow`), as median over seeds, for the top
    layer. A millionth and anything smaller have the same colour. There is a panel for each cell and state.

    Args:
        flow: the table `gradient_flow`.
        runs: from `load_runs`; other runs in the table are not drawn.

    Raises:
        UserError: no gradient flow was recorded.
    """
    runs = label_runs(runs)
    table = _relative(top_layer(flow), runs)
    looks, dashes = setting_looks(runs), state_dashes(table)
    maps = {
        (panel, line, state): rows
        for panel in panels_of(runs, table)
        for line, _, own in settings(table[table["panel"] == panel], looks)
        for state, _, rows in states(own, dashes)
    }
    figure, panels = grid(list(maps), columns=2 if len(maps) % 4 == 0 else None)  # 4 or 8 fill two columns
    for (panel, line, state), axes in panels.items():
        rows = maps[panel, line, state]
        shares = rows.groupby(["step", "before"])["share"].median().unstack().sort_index(axis=1, ascending=False)
        shown = np.log10(shares.clip(lower=1e-12))  # a norm of 0 needs a colour too
        mesh = axes.pcolormesh(shares.columns, shares.index, shown, cmap="viridis", vmin=-6, vmax=0, rasterized=True)
        axes.set_xlim(rows["before"].max() + 0.5, rows["before"].min() - 0.5)
        axes.set_title(f"{plain(line)}, {state}: {plain(panel)}")
        axes.set_xlabel("steps before the answer")
        axes.set_ylabel("training steps")
    bar = figure.colorbar(mesh, ax=list(panels.values()), ticks=[-6, -4, -2, 0], shrink=0.6)
    bar.set_ticklabels(["$10^{-6}$", "$10^{-4}$", "$10^{-2}$", "1"])
    bar.set_label("gradient norm, relative")
    return figure
