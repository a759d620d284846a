"""The legend above all panels, laid out so that nothing is cut off."""

from collections.abc import Callable, Mapping, Sequence

import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.lines import Line2D

from rnnbench.figures.colours import GREY, Look, settings
from rnnbench.figures.states import DASHES, state_dashes, state_label
from rnnbench.figures.style import plain

WIDTH = 8.8
"""Width in inches to which a narrow figure grows before its legend gets another row."""

MARGIN = 0.2
"""Inches between the legend and the figure's edge."""


def legend(figure: Figure, table: pd.DataFrame, looks: Mapping[str, Look], extra: Sequence[Line2D] = ()) -> None:
    """Draws a legend of the settings that have rows, then `extra`, in as few lines as fit.

    The figure becomes taller for additional lines, and wider if it is too narrow for a single column.
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
    """Returns legend entries for the line patterns, if there are several states."""
    distinct = {(dash, label(state)) for (_, state), dash in state_dashes(table).items()}
    kinds = sorted(distinct, key=lambda kind: (DASHES.index(kind[0]), kind[1]))
    if len(kinds) < 2:
        return []
    return [Line2D([], [], color=GREY, linestyle=(0, dash) if dash else "-", label=plain(text)) for dash, text in kinds]


def _size(figure: Figure, drawn: Legend) -> tuple[float, float]:
    """Returns the legend's width and height in inches, including margins on both sides."""
    extent = drawn.get_window_extent(FigureCanvasAgg(figure).get_renderer())
    return extent.width / figure.dpi + 2 * MARGIN, extent.height / figure.dpi
