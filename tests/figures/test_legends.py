"""A legend is drawn completely and covers nothing else."""

import pandas as pd
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rnnbench.figures.colours import setting_looks
from rnnbench.figures.legends import legend
from rnnbench.figures.panels import grid
from rnnbench.figures.style import styled


@styled
def with_legend(panels, lines):
    figure, _ = grid([f"panel {number}" for number in range(panels)])
    rows = pd.DataFrame({"line": lines, "model": lines})
    legend(figure, rows, setting_looks(rows))
    return figure


@pytest.mark.parametrize(
    ("panels", "cells", "length"), [(1, 3, 4), (1, 14, 30), (2, 14, 30), (3, 7, 12), (1, 2, 130), (4, 50, 24)]
)
def test_a_legend_lies_within_its_figure_and_above_the_panels(panels, cells, length):
    figure = with_legend(panels, [f"{number:02d} ".ljust(length, "w") for number in range(cells)])
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw_without_rendering()
    (drawn,) = figure.legends
    extent, whole = drawn.get_window_extent(renderer), figure.bbox
    assert len(drawn.get_texts()) == cells
    assert figure.get_figwidth() <= max(6.6 * min(panels, 3), 8.8) or drawn._ncols == 1
    assert whole.x0 <= extent.x0
    assert extent.x1 <= whole.x1
    assert extent.y1 <= whole.y1
    for axes in figure.axes:
        assert axes.get_tightbbox(renderer) is None or axes.get_tightbbox(renderer).y1 <= extent.y0
        assert axes.get_window_extent(renderer).height > 200, "the panels keep their size"


def test_a_narrow_figure_grows_before_its_legend_takes_a_second_row():
    figure = with_legend(1, ["one setting", "another setting", "and a third one"])
    assert 6.6 < figure.get_figwidth() <= 8.8
    assert figure.legends[0]._ncols == 3
    assert figure.get_figheight() == pytest.approx(5.0)
