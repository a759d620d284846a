"""What all static figures share: style, colours, panels, legends, and how they are saved."""

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

from rnnbench.analysis.settings import in_order, metric_label
from rnnbench.errors import UserError

COLOURS = {"rnn": "#D55E00", "lstm": "#0072B2", "gru": "#009E73"}
"""Colours of the cells, from the palette of Okabe and Ito, which is safe for the colour-blind."""

MORE_COLOURS = ("#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8C510A")

GREY = "#6B6B6B"

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

_P = ParamSpec("_P")


def styled(draw: Callable[_P, Figure]) -> Callable[_P, Figure]:
    """Draws in our style, whatever the caller's is."""

    @wraps(draw)
    def styled(*args: _P.args, **kwargs: _P.kwargs) -> Figure:
        with mpl.rc_context({**mpl.rcParamsDefault, **STYLE, "backend": mpl.rcParams["backend"]}):
            return draw(*args, **kwargs)

    return styled


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


def states_legend(table: pd.DataFrame, labels: dict[str, str] | None = None) -> list[Line2D]:
    """What full and dashed lines are, where there are both."""
    labels = labels or {"h": "hidden state h", "c": "cell state c"}
    if set(table["state"]) == {"h"}:
        return []
    return [Line2D([], [], color=GREY, linestyle=dashes(state), label=label) for state, label in labels.items()]


def panels_of(labelled: pd.DataFrame, table: pd.DataFrame) -> list[str]:
    """Names of the panels that have rows, in the order of the runs."""
    return [str(name) for name in labelled["panel"].unique() if (table["panel"] == name).any()]


def grid(names: Sequence[Any], columns: int | None = None, **options: Any) -> tuple[Figure, dict[Any, Axes]]:
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
        axes.set_title(plain(str(name)))
    return figure, panels


def draw_seeds(axes: Axes, seeds: pd.DataFrame, colour: Any, label: str, **style: Any) -> None:
    """Each seed (a column) faintly; over those rows that all seeds have, the band and the median."""
    for name in seeds:
        seed = seeds[name].dropna()
        if len(seeds.columns) > 1:
            axes.plot(seed.index, seed, color=colour, linewidth=1.0, alpha=0.4, linestyle=style.get("linestyle", "-"))
    common = seeds.dropna()
    axes.fill_between(common.index, common.min(axis=1), common.max(axis=1), color=colour, alpha=0.16, linewidth=0)
    axes.plot(common.index, common.median(axis=1), color=colour, markersize=7, label=plain(label), zorder=4, **style)


def draw_states(axes: Axes, rows: pd.DataFrame, index: str, values: str, **style: Any) -> None:
    """`draw_seeds` of every setting and state."""
    for line, _, colour in coloured_lines(rows):
        for state, own in rows[rows["line"] == line].groupby("state"):
            seeds = own.pivot(index=index, columns="run_id", values=values)
            draw_seeds(axes, seeds, colour, label=line, linestyle=dashes(state), **style)


def dashes(state: Any) -> Any:
    """The hidden state is drawn in full, others dashed."""
    return "-" if state == "h" else (0, (2.5, 1.5))


def score_axis(axes: Axes, rows: pd.DataFrame) -> None:
    """The score's axis, with its chance level: a share of all from 0 or chance to 1, an error on a log scale."""
    score, goal = rows["score"].iloc[0], rows["score_goal"].iloc[0]
    chance = rows["chance"].dropna().unique()
    axes.set_ylabel(plain(metric_label(score)) + (" (lower is better)" if goal == "min" else ""))
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
        axes.axhline(level, color=GREY, linewidth=1.6, linestyle=(0, (4, 3)), zorder=1)
        axes.annotate(
            "chance",
            (1.01, level),
            xycoords=axes.get_yaxis_transform(),
            va="center",
            annotation_clip=False,
            color=GREY,
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
        first = zlib.crc32(model.encode()) % len(MORE_COLOURS)
        choices = [MORE_COLOURS[(first + step) % len(MORE_COLOURS)] for step in range(len(MORE_COLOURS))]
        free = [colour for colour in choices if colour not in colours.values()]
        colours[model] = (free or choices)[0]
    return colours


def paler(colour: Any, share: float) -> tuple[float, float, float]:
    """A colour mixed with white."""
    red, green, blue = (1 - (1 - channel) * (1 - min(share, 0.75)) for channel in to_rgb(colour))
    return red, green, blue


def legend(figure: Figure, table: pd.DataFrame, extra: Sequence[Line2D] = ()) -> None:
    """One legend above all panels, each line once."""
    handles: dict[str, Line2D] = {}
    for _, rows in table.groupby("panel", sort=False):
        for line, _, colour in coloured_lines(rows):
            handles.setdefault(line, Line2D([], [], color=colour, linewidth=4, label=plain(line)))
    known = [*handles.values(), *extra]
    width = sum(len(str(handle.get_label())) + 6 for handle in known)
    columns = len(known) if width < 11 * figure.get_figwidth() else max(1, int(figure.get_figwidth() // 4))
    figure.set_figheight(figure.get_figheight() + 0.33 * (-(-len(known) // columns) - 1))
    figure.legend(handles=known, loc="outside upper center", ncols=columns, handlelength=1.8, columnspacing=1.8)


def plain(text: str) -> str:
    """Text from a config, shown as it is: a dollar sign would start a formula."""
    return text.replace("$", r"\$")
