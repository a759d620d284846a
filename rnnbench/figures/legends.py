"""The one legend above all panels, laid out so that nothing of it is cut."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from rnnbench.figures.looks import GREY, Look, settings
from rnnbench.figures.states import DASHES, state_dashes, state_label
from rnnbench.figures.style import plain

WIDTH = 8.8
"""Inches to which a narrow figure grows before its legend takes another row."""

MARGIN = 0.2
"""Inches between the legend and the figure's edge."""


def legend(figure: Figure, table: pd.DataFrame, looks: Mapping[str, Look], extra: Sequence[Line2D] = ()) -> None:
    """Draws the settings that have rows, and then `extra`, in as few rows as fit; the figure grows by the others.

    A figure that is too narrow for a single column becomes wider.
    """
    handles = [
        Line2D([], [], color=look.colour, linewidth=4, marker=look.marker, markersize=10, label=plain(line))
        for line, look, _ in settings(table, looks)
    ]
    handles += extra
    most = max(figure.get_figwidth(), WIDTH)
    of_one_row = 0.0
    for rows in range(1, len(handles) + 1):
        columns = -(-len(handles) // rows)
        drawn = figure.legend(
            handles=handles, loc="outside upper center", ncols=columns, handlelength=2.4, columnspacing=1.8
        )
        width, height = _size(figure, drawn)
        of_one_row = of_one_row or height
        if width <= most or columns == 1:
            break
        drawn.remove()
    figure.set_size_inches(max(figure.get_figwidth(), width), figure.get_figheight() + height - of_one_row)


def states_legend(table: pd.DataFrame, label: Callable[[str], str] = state_label) -> list[Line2D]:
    """Returns what the patterns of lines are, where there are several states."""
    distinct = {(dash, label(state)) for (_, state), dash in state_dashes(table).items()}
    kinds = sorted(distinct, key=lambda kind: (DASHES.index(kind[0]), kind[1]))
    if len(kinds) < 2:
        return []
    return [Line2D([], [], color=GREY, linestyle=(0, dash) if dash else "-", label=plain(text)) for dash, text in kinds]


def _size(figure: Figure, drawn: Legend) -> tuple[float, float]:
    """Returns width and height in inches, with a margin at both sides."""
    extent = drawn.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    return extent.width / figure.dpi + 2 * MARGIN, extent.height / figure.dpi
