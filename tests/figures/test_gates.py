"""Gates word by word, and the time constants that they give each unit."""

import numpy as np
import pandas as pd
import pytest

from rnnbench import figures as plots
from rnnbench.errors import UserError
from tests.figures.samples import legend, median_line, rows_of


def traces_of(run_id, words=("last", "year"), sign=1.0):
    """Returns traces of two sentences and two units. Unit 0 differs most between the sentences at the last word."""
    return pd.DataFrame(
        {"run_id": run_id, "step": 20, "sentence": sentence, "time": time, "word": word, "layer": 0, "gate": gate,
         "unit": unit, "value": sign * (0.1 * time + 0.5 * sentence * (unit == 0))}
        for sentence in (0, 1) for time, word in enumerate(words) for gate in ("forget", "input") for unit in (0, 1)
    )  # fmt: skip


def test_gates_are_drawn_word_by_word_unit_by_unit(runs):
    figure = plots.gate_traces(traces_of("gru1", words=("$x$", "year")), runs)
    panels = [axes for axes in figure.axes if axes.get_title(loc="left")]
    assert [axes.get_title(loc="left") for axes in panels] == ["forget gate"] * 2 + ["input gate"] * 2
    np.testing.assert_allclose(panels[1].collections[0].get_array(), [[0, 0.1], [0.5, 0.6]])
    assert [tick.get_text() for tick in panels[0].get_xticklabels()] == [r"\$x\$", "year"]
    assert figure._suptitle.get_text() == "GRU, seed 1"
    assert panels[0].collections[0].norm.vmin == 0
    signed = plots.gate_traces(traces_of("gru1", sign=-1.0), runs).axes[0].collections[0]
    assert (signed.norm.vmin, signed.norm.vmax) == (-1, 1)
    with pytest.raises(UserError, match="no gates were recorded word by word for run gru0"):
        plots.gate_traces(traces_of("gru1"), runs, "gru0")
    with pytest.raises(UserError, match="no gates were recorded word by word for any run"):
        plots.gate_traces(traces_of("gone"), runs)


def test_the_run_of_the_median_score_is_drawn(runs):
    runs = runs[runs["model.name"] == "gru"]
    traces = pd.concat(traces_of(run) for run in runs["run_id"])
    for scores, seed in (([0.1, 0.9, 0.5], 2), ([0.2, 1.0, 1.0], 1), ([np.nan, 0.3, np.nan], 1)):
        figure = plots.gate_traces(traces, runs.assign(**{"final.accuracy": scores}))
        assert figure._suptitle.get_text() == f"GRU, seed {seed}"


def test_time_constants_are_of_the_mean_over_time_and_sorted(runs):
    """One run's units, with means 0.9 and 0.5, keep c for 10 and 2 steps; another run keeps h forever."""
    one = rows_of(runs[:1], state="c", unit=[0, 0, 1, 1], time=[0, 1, 0, 1], mean=[0.8, 1.0, 0.4, 0.6])
    lower = one.assign(layer=-1, mean=0.0)
    other = rows_of(runs[3:], state="h", unit=[0, 1], time=0, mean=1.0)
    figure = plots.time_constants(pd.concat([one, lower, other]), runs)
    (axes,) = figure.axes
    line = median_line(axes, "RNN")
    assert line.get_xdata().tolist() == [25, 75]
    np.testing.assert_allclose(line.get_ydata(), [2, 10])
    assert line.get_linestyle() == "--"
    np.testing.assert_allclose(median_line(axes, "GRU").get_ydata(), 1e6)
    assert axes.get_yscale() == "log"
    assert legend(figure) == ["RNN", "GRU", "hidden state h", "cell state c"]
    with pytest.raises(UserError, match="no retention of states was recorded"):
        plots.time_constants(one, runs[1:])


def test_time_constants_are_medians_over_seeds_unit_by_unit(runs):
    means = {"gru0": [0.5, 0.9], "gru1": [0.8, 0.5], "gru2": [0.5, 0.5]}
    rows = [rows_of(runs[runs["run_id"] == run_id], state="h", unit=[0, 1], time=0, mean=own)
            for run_id, own in means.items()]  # fmt: skip
    (axes,) = plots.time_constants(pd.concat(rows), runs).axes
    np.testing.assert_allclose(median_line(axes, "GRU").get_ydata(), [2, 5])
