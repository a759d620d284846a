"""Interactive plotly figures for `rnnbench report`, in the style of `rnnbench.figures`.

The rows passed in are those of one task: from tables that `analysis.tables` reads, joined with the result of
`analysis.settings.label_runs`. Names from records are escaped, since plotly interprets tags in text.
"""

import html
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from rnnbench.analysis.labels import breakdown_label, metric_label
from rnnbench.analysis.selection import at_last_step, trained_length
from rnnbench.figures.colours import GREY, Look, settings
from rnnbench.figures.states import Dash, layers, state_dashes, state_label
from rnnbench.records.bins import bin_label
from rnnbench.visible import visible

MAX_SEEDS = 5
"""A setting with at most this many seeds has each of them drawn."""
MAX_POINTS = 300
"""Maximum number of points of a curve."""
MAX_STEPS = 60
"""Maximum number of training steps of a slider or a map."""
MAX_UNITS = 64
"""Maximum number of units on the map of a gate."""

_SMALLEST_DECADE = -9
"""Gradient flow is drawn down to this power of ten. Smaller values, and 0, leave the figure."""

_BANDS = 0.5
"""Total opacity of all bands of a figure."""

_MARKERS = {"s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross", "*": "star"}
"""Plotly's names for `looks.MARKERS`."""
MAX_MARKERS = 9
"""Maximum number of markers on a line with many points."""


class FlowCurve(NamedTuple):
    """How much gradient reaches a state of a setting.

    Attributes:
        name: the setting, and its state unless that is drawn as a solid line.
        look: the look of the setting, paler in upper layers.
        dash: the pattern of the state.
        shares: the median over seeds, relative to the answer's: rows are steps before it, columns training steps. A
            setting keeps its last value at steps without an evaluation, and after its end.
    """

    name: str
    look: Look
    dash: Dash
    shares: pd.DataFrame


def learning_curves(rows: pd.DataFrame, looks: Mapping[str, Look]) -> go.Figure:
    """Draws the score against training steps: each setting's median, and a band over rows that all seeds have."""
    lines = list(settings(rows, looks))
    traces: list[go.Scatter] = []
    for line, look, whole in lines:
        colour = look.colour
        own = whole[whole["step"].isin(_thinned(whole["step"], MAX_POINTS))]
        seeds = own.pivot(index="step", columns="run_id", values="value")
        common = seeds.dropna()
        behind = {"legendgroup": line, "showlegend": False, "hoverinfo": "skip", "mode": "lines"}
        around = pd.concat([common.max(axis=1), common.min(axis=1)[::-1]])
        band = {"fill": "toself", "fillcolor": colour, "opacity": _BANDS / len(lines), "line": {"width": 0}}
        traces.append(_curve(around, **band, **behind))
        if 1 < len(seeds.columns) <= MAX_SEEDS:
            gap = pd.Series([np.nan], [np.nan])  # all seeds form one trace
            apart = pd.concat([part for name in seeds for part in (seeds[name].dropna(), gap)])
            traces.append(_curve(apart, line={"color": colour, "width": 1}, opacity=0.4, **behind))
        traces.append(_line(common.median(axis=1), look, name=_label(line), legendgroup=line))
        if (whole["status"] == "diverged").any():
            last = at_last_step(whole[whole["status"] == "diverged"]).set_index("step")["value"]
            cross = {"symbol": "x", "size": 9, "color": colour}
            traces.append(_curve(last, name=_label(f"{line}, diverged"), mode="markers", marker=cross))
    traces += _chance(rows, [0, int(rows["step"].max())])
    return _figure(traces, xaxis={"title": {"text": "training steps"}}, yaxis=score_axis(rows))


def scores(rows: pd.DataFrame, looks: Mapping[str, Look]) -> go.Figure:
    """Draws the score in the bins of a breakdown: each setting's median, minimum and maximum."""
    bins = rows[["low", "high"]].drop_duplicates().sort_values("high")
    place = {high: number for number, high in enumerate(bins["high"])}
    lines = list(settings(rows, looks))
    traces: list[go.Scatter] = []
    for number, (line, look, own) in enumerate(lines):
        seeds = own.pivot(index="high", columns="run_id", values="value").dropna()
        shift = 0.3 * ((number + 0.5) / len(lines) - 0.5)  # side by side, since perfect settings would coincide
        seeds.index = pd.Index([place[high] + shift for high in seeds.index])
        median = seeds.median(axis=1)
        reach = {
            "array": _rounded(seeds.max(axis=1) - median),
            "arrayminus": _rounded(median - seeds.min(axis=1)),
            "thickness": 1,
            "width": 3,
        }
        marker = {"symbol": _MARKERS.get(look.marker, "circle"), "size": 7}
        paint = {"color": look.colour, "width": 2}
        about = {"line": paint, "marker": marker, "mode": "lines+markers", "error_y": reach}
        traces.append(_curve(median, name=_label(line), **about))
    traces += _chance(rows, [-0.3, len(bins) - 0.7])
    labels = [bin_label(low, high) for low, high in bins.itertuples(index=False)]
    name = _label(breakdown_label(rows["by"].iloc[0]))
    axis = {"title": {"text": name}, "tickvals": list(place.values()), "ticktext": labels}
    if (longest := trained_length(rows)) is not None:
        at = float(np.interp(longest, list(place), list(place.values())))
        ends = [float(rows["value"].min()), float(rows["value"].max())]
        dotted = {"color": GREY, "dash": "dot", "width": 2}
        traces.append(_curve(pd.Series(ends, index=[at, at]), name="longest in training", line=dotted))
    return _figure(traces, xaxis=axis, yaxis=score_axis(rows))


def flow_curves(rows: pd.DataFrame, looks: Mapping[str, Look]) -> list[FlowCurve]:
    """Returns the curves of relative gradients, by setting, layer and state.

    Args:
        rows: the result of `analysis.selection.relative_flow`.
        looks: the looks of all settings.
    """
    steps = _thinned(rows["step"], MAX_STEPS)
    rows = rows[rows["before"].isin(_thinned(rows["before"], MAX_POINTS))]
    several, dashes = rows["layer"].nunique() > 1, state_dashes(rows)
    curves = []
    for line, look, of_line in settings(rows, looks):
        for layer, state, dash, own in layers(of_line, dashes):
            name = f"{line}{f', layer {layer + 1}' if several else ''}{f', {state_label(state)}' if dash else ''}"
            shares = own.groupby(["before", "step"])["share"].median().unstack()
            every = shares.columns.union(steps)  # settings may have been evaluated at different steps
            shares = shares.reindex(columns=every).ffill(axis=1)[steps]
            curves.append(FlowCurve(name, look.paler(0.3 * layer), dash, shares))
    return curves


def gradient_flow(curves: Sequence[FlowCurve]) -> go.Figure:
    """Draws all curves at one training step, with a slider over the training steps."""
    steps = curves[0].shares.columns.tolist()
    bottom, top = _decades(curves)
    # Below the figure, but finite on a log scale.
    drawn = [curve.shares.clip(lower=10.0 ** (bottom - 3)) for curve in curves]
    traces = [
        _line(shares[steps[-1]], curve.look, curve.dash, name=_label(curve.name))
        for curve, shares in zip(curves, drawn, strict=True)
    ]
    moments = [
        {"label": f"{step}", "method": "restyle", "args": [{"y": [_rounded(shares[step]) for shares in drawn]}]}
        for step in steps
    ]
    slider = {
        "steps": moments,
        "active": len(steps) - 1,
        "currentvalue": {"prefix": "training step "},
        "pad": {"t": 72},
    }
    before = {"title": {"text": "steps before the answer"}, "autorange": "reversed"}
    norm = {
        "title": {"text": "gradient norm relative to the answer's"},
        "type": "log",
        "exponentformat": "power",
        "dtick": 1 if top - bottom < 6 else 2,
        "range": [bottom, top + 0.3],
    }
    return _figure(traces, height=580, xaxis=before, yaxis=norm, sliders=[slider])


def gradient_maps(curves: Sequence[FlowCurve]) -> list[go.Figure]:
    """Draws each curve as a map of time and training. Colours mean the same in all maps."""
    bottom, top = _decades(curves)
    decades = list(range(bottom, top + 1))
    bar = {"tickvals": decades, "ticktext": [f"10<sup>{decade}</sup>" for decade in decades], "thickness": 12}
    maps = []
    for curve in curves:
        colours = curve.shares.clip(lower=10.0**bottom).apply(np.log10).T
        heatmap = go.Heatmap(
            x=colours.columns.tolist(),
            y=colours.index.tolist(),
            z=[_rounded(row) for row in colours.to_numpy()],
            zmin=bottom,
            zmax=top,
            colorscale="Viridis",
            colorbar=bar,
            hovertemplate="%{x} steps before the answer<br>training step %{y}<br>10^%{z:.1f}<extra></extra>",
        )
        before = {"title": {"text": "steps before the answer"}, "autorange": "reversed"}
        maps.append(_figure([heatmap], height=280, xaxis=before, yaxis={"title": {"text": "training step"}}))
    return maps


def gate_map(rows: pd.DataFrame) -> go.Figure:
    """Draws a gate's value in every unit at every word of one sentence."""
    values = rows.pivot(index="unit", columns="time", values="value")
    values = values.loc[_thinned(values.index, MAX_UNITS)]
    words = rows.drop_duplicates("time").sort_values("time")["word"]
    signed = bool((values < 0).any(axis=None))
    heatmap = go.Heatmap(
        y=values.index.tolist(),
        z=[[round(float(value), 2) for value in row] for row in values.to_numpy()],
        zmin=-1 if signed else 0,
        zmax=1,
        colorscale="RdBu" if signed else "Viridis",
        colorbar={"thickness": 12},
        hovertemplate="unit %{y}: %{z}<extra></extra>",
    )
    axis = {"tickvals": list(range(len(words))), "ticktext": [*map(_label, words)], "tickangle": -60}
    return _figure([heatmap], height=360, xaxis=axis, yaxis={"title": {"text": "unit"}})


def _decades(curves: Sequence[FlowCurve]) -> tuple[int, int]:
    """Returns the powers of ten that enclose the shares, including the answer's share of 1."""
    shares = np.concatenate([[1.0], *(curve.shares.to_numpy().ravel() for curve in curves)])
    shares = shares[np.isfinite(shares) & (shares > 0)]
    low, high = np.floor(np.log10(shares.min())), np.ceil(np.log10(shares.max()))
    return max(_SMALLEST_DECADE, int(low)), int(high)


def _chance(rows: pd.DataFrame, ends: Sequence[int | float]) -> list[go.Scatter]:
    look = {"color": GREY, "width": 1.5, "dash": "dash"}
    levels = rows["chance"].dropna().unique()
    return [_curve(pd.Series(level, pd.Index([*ends])), name="chance", line=look) for level in levels]


def score_axis(rows: pd.DataFrame) -> dict[str, Any]:
    """Returns the score axis: a log scale for an error, or 0 or chance to 1 for a share."""
    goal = rows["score_goal"].iloc[0]
    axis: dict[str, Any] = {"title": {"text": _label(metric_label(rows["score"].iloc[0]))}}
    values = rows["value"][np.isfinite(rows["value"])]
    if goal == "min" and (values > 0).all():
        decades = {"dtick": 1} if values.max() > 100 * values.min() else {}
        return axis | {"type": "log", "exponentformat": "power"} | decades
    if goal == "max" and values.between(0, 1).all():
        return axis | {"range": [max(0.0, min([*values, *rows["chance"].dropna()]) - 0.08), 1.03]}
    return axis


def _curve(values: "pd.Series[float]", **about: Any) -> go.Scatter:
    """Returns values against their index: a line, or a marker if there is only one value."""
    mode = "lines" if len(values) > 1 else "markers"
    return go.Scatter(x=values.index.tolist(), y=_rounded(values), **{"mode": mode, **about})


def _line(values: "pd.Series[float]", look: Look, dash: Dash = (), **about: Any) -> go.Scatter:
    """Returns a setting's curve, with some points marked if the setting has a marker."""
    width = 2.5
    line = {"color": look.colour, "width": width}
    if dash:
        line["dash"] = ",".join(f"{width * length:g}px" for length in dash)
    if look.marker:
        marker = {"symbol": _MARKERS[look.marker], "size": 8, "maxdisplayed": MAX_MARKERS}
        about = {"mode": "lines+markers", "marker": marker, **about}
    return _curve(values, line=line, **about)


def _figure(
    traces: Sequence[go.Scatter | go.Heatmap],
    *,
    xaxis: dict[str, Any],
    yaxis: dict[str, Any],
    height: int = 420,
    **layout: Any,
) -> go.Figure:
    axis = {"zeroline": False, "automargin": True}
    legend = {"orientation": "h", "yanchor": "bottom", "y": 1.02, "x": 0, "maxheight": 130, "tracegroupgap": 0}
    return go.Figure(
        traces,
        {
            "template": "none",
            "height": height,
            "font": {"size": 13},
            "margin": {"l": 64, "r": 16, "t": 8, "b": 56},
            "legend": legend | {"font": {"size": 12}},
            "hoverlabel": {"namelength": -1},
            "xaxis": axis | xaxis,
            "yaxis": axis | yaxis,
            **layout,
        },
    )


def _rounded(values: Iterable[float]) -> list[float]:
    """Rounds values to the digits that are visible."""
    return [float(f"{value:.4g}") for value in values]


def _thinned(values: Iterable[int], most: int) -> list[int]:
    """Returns the distinct values, or at most `most` evenly chosen ones including the first and the last."""
    ordered = np.unique(np.asarray(values))
    return ordered[np.unique(np.linspace(0, len(ordered) - 1, most).round().astype(int))].tolist()


def _label(text: str) -> str:
    return html.escape(visible(text), quote=False)
