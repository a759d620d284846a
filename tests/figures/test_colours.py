"""Cells look the same in all figures of a folder, and all readers can tell them apart."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex, to_rgb

from rnnbench import figures
from rnnbench.analysis.settings import label_runs
from rnnbench.figures import interactive
from rnnbench.figures.colours import COLOURS, GREY, PALETTE, Look, cell_looks, setting_looks, settings
from tests.figures.samples import rows_of, run

CELLS = ["gru", "lstm", "rnn", *(f"cell_{number:02d}_with_a_long_name" for number in range(11))]


@pytest.fixture
def runs():
    return pd.DataFrame([run(cell, seed) for cell, seed in itertools.product(CELLS, range(2))])


@pytest.fixture
def drawn(runs):
    """Returns every figure that has a line for each cell, as a function and a table."""
    at = {"metric": "accuracy", "value": [0.1, 0.3, 0.5]}
    flow = rows_of(runs, state="h", time=[0, 1, 2], norm=[0.1, 0.5, 1.0], q10=0.1, q50=0.1, q90=0.1)
    return {
        "scores_by": (figures.scores_by, rows_of(runs, by="distance", low=[1, 3, 5], high=[2, 4, 8], count=1, **at)),
        "learning_curves": (figures.learning_curves, rows_of(runs, split="test", **at).assign(step=[0, 10, 20] * 28)),
        "gradient_flow": (figures.gradient_flow, pd.concat([flow.assign(step=0), flow])),
        "half_life": (figures.half_life, rows_of(runs, split="probe", metric="decay_rate.0.h", value=[0.1])),
        "time_constants": (figures.time_constants, rows_of(runs, state="h", unit=[0, 1], time=0, mean=[0.5, 0.9])),
        "singular_values": (
            figures.singular_values,
            rows_of(runs, kind="singular_value", state="h", lag=[1, 2], number=0, value=0.5),
        ),
        "lyapunov_exponents": (
            figures.lyapunov_exponents,
            rows_of(runs, kind="lyapunov_exponent", state="h", lag=0, number=[0, 1], value=[0.1, -0.1]),
        ),
        "memory": (figures.memory, rows_of(runs, state="h", time=[0, 1], r2=[1.0, 0.5])),
    }


def looks_in(figure):
    """Returns the look of each cell's median line in the first panel."""
    lines = [line for line in figure.axes[0].lines if not line.get_label().startswith("_")]
    markers = {line.get_label(): line.get_marker() for line in lines}
    return {line.get_label(): (to_hex(line.get_color()), markers[line.get_label()]) for line in lines}


@pytest.mark.parametrize("figure", ["learning_curves", "half_life", "time_constants", "memory"])
def test_fourteen_cells_have_fourteen_looks_the_same_everywhere(runs, drawn, figure):
    looks = setting_looks(label_runs(runs))
    assert len(looks) == len(set(looks.values())) == 14
    assert {line: (look.colour, look.marker) for line, look in looks.items()} == {
        line: (colour, "" if marker == "None" else marker)
        for line, (colour, marker) in looks_in(drawn[figure][0](drawn[figure][1], runs)).items()
    }


@pytest.mark.parametrize("figure", ["scores_by", "singular_values"])
def test_where_every_point_is_marked_cells_keep_their_markers(runs, drawn, figure):
    looks = setting_looks(label_runs(runs))
    assert {line: (look.colour, look.marker or "o") for line, look in looks.items()} == looks_in(
        drawn[figure][0](drawn[figure][1], runs)
    )


def test_each_of_many_cells_has_a_panel_of_gradient_flow(runs, drawn):
    looks = setting_looks(label_runs(runs))
    draw, rows = drawn["gradient_flow"]
    panels = {axes.get_title(loc="left"): axes for axes in draw(rows, runs).axes if axes.get_title(loc="left")}
    assert list(panels) == list(looks)
    for line, axes in panels.items():
        medians = {drawn.get_label(): to_hex(drawn.get_color()) for drawn in axes.lines}
        assert medians["at initialisation"] == GREY
        assert medians["after training"] == looks[line].colour
    few = runs[runs["model.name"].isin(CELLS[:8])]
    assert len(draw(rows, few).axes) == 2, "eight cells have eight colours, and share a panel"


def test_a_figure_of_fewer_cells_draws_them_as_all_figures_do(runs, drawn):
    """If rows are missing or runs are not finished, the other cells look as before."""
    some = [CELLS[0], CELLS[-1]]
    del drawn["gradient_flow"]  # where each of so many cells has a panel
    for draw, rows in drawn.values():
        whole = looks_in(draw(rows, runs))
        part = looks_in(draw(rows[rows["run_id"].str[:-1].isin(some)], runs))
        assert part == {line: look for line, look in whole.items() if line in ("GRU", CELLS[-1])}
    draw, rows = drawn["scores_by"]
    whole = looks_in(draw(rows, runs))
    part = looks_in(draw(rows, runs.assign(status=runs["status"].where(runs["model.name"].isin(some), "running"))))
    assert part == {line: whole[line] for line in ("GRU", CELLS[-1])}


def test_the_page_draws_cells_as_the_figures_do(runs, drawn):
    labelled = label_runs(runs)
    looks = setting_looks(labelled)
    curves = drawn["learning_curves"][1].merge(labelled, on="run_id")
    scores = drawn["scores_by"][1].merge(labelled, on="run_id")
    flow = rows_of(runs, state="h", before=[0, 1], share=[1.0, 0.5]).merge(labelled, on="run_id")
    for figure, least in (
        (interactive.learning_curves(curves, looks), {"lines"}),
        (interactive.scores(scores, looks), {"lines+markers"}),
        (interactive.gradient_flow(interactive.flow_curves(flow, looks)), {"lines"}),
    ):
        shown = {trace.name: trace for trace in figure.data if trace.name in looks}
        assert {line: trace.line.color for line, trace in shown.items()} == {
            line: look.colour for line, look in looks.items()
        }
        symbols = {(look.marker, shown[line].marker.symbol) for line, look in looks.items() if look.marker}
        assert symbols == {("s", "square")}
        assert {shown[line].mode for line, look in looks.items() if not look.marker} == least


def test_cells_have_their_own_colours_whoever_is_there():
    assert cell_looks(["mine", "gru"])["gru"] == cell_looks(["gru"])["gru"] == Look(COLOURS["gru"])
    others = [f"{number:02d}" for number in range(52)]
    looks = cell_looks(others)
    assert len({looks[name] for name in others}) == 52
    assert not {looks[name] for name in others} & {Look(colour) for colour in COLOURS.values()}


def test_settings_of_one_cell_are_paler_and_come_in_order():
    labelled = pd.DataFrame(
        {"line": ["GRU, a 3", "RNN", "GRU, a 1", "GRU, a 2"], "model": ["gru", "rnn", "gru", "gru"]}
    )
    looks = setting_looks(labelled)
    assert [*looks] == ["RNN", "GRU, a 1", "GRU, a 2", "GRU, a 3"]
    brightness = [sum(to_rgb(looks[f"GRU, a {number}"].colour)) for number in (1, 2, 3)]
    assert brightness == sorted(brightness)
    assert len(set(brightness)) == 3
    assert [line for line, _, _ in settings(labelled[labelled["model"] == "gru"], looks)] == [*looks][1:]


def test_colours_differ_for_a_reader_without_green_cones():
    """Simulates deuteranopia (Machado, Oliveira & Fernandes 2009). A CIELAB distance of 2.3 is just noticeable."""
    deuteranopia = np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]])
    to_xyz = np.array([[0.4125, 0.3576, 0.1804], [0.2127, 0.7152, 0.0722], [0.0193, 0.1192, 0.9503]])

    def lab(colour):
        rgb = np.array(to_rgb(colour))
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        xyz = to_xyz @ np.clip(deuteranopia @ linear, 0, 1) / [0.9505, 1, 1.089]
        x, y, z = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
        return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])

    distances = [np.linalg.norm(lab(one) - lab(other)) for one, other in itertools.combinations(PALETTE, 2)]
    assert min(distances) > 15
