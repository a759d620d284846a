"""Gradient flow, its map and its half-life: medians over the seeds, relative to the last step with a gradient."""

import numpy as np
import pandas as pd
import pytest

from rnnbench import figures as plots
from rnnbench.errors import UserError
from tests.figures.samples import legend, median_line


def flow_of(run_ids, decay, states=("h",), steps=(0, 20), layers=1, zero_before=None):
    """Returns norms of 3 * decay(run_id, step, state) ** (4 - time) up to time 4, and of 0 after it."""
    rows = []
    for run_id in run_ids:
        for step in steps:
            for layer in range(layers):
                for state in states:
                    for time in range(7):
                        norm = 3 * decay(run_id, step, state) ** (4 - time) if time <= 4 else 0.0
                        if zero_before is not None and time < zero_before:
                            norm = 0.0
                        at = {"run_id": run_id, "step": step, "layer": layer, "state": state, "time": time}
                        rows.append({**at, "norm": norm, "q10": norm / 2, "q50": norm, "q90": 3 * norm})
    return pd.DataFrame(rows)


def test_gradient_flow_is_relative_to_the_last_step_with_a_gradient(runs):
    base = {"gru0": 0.5, "gru1": 0.25, "gru2": 0.75, "rnn0": 0.1, "rnn1": 0.1, "rnn2": 0.1}
    flow = flow_of(base, lambda name, step, state: 1.0 if step else base[name])
    figure = plots.gradient_flow(flow, runs)
    before, after = figure.axes
    line = median_line(before, "GRU")
    assert line.get_xdata().tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(line.get_ydata(), 0.5 ** np.arange(5))
    np.testing.assert_allclose(median_line(after, "GRU").get_ydata(), 1)
    assert before.get_title(loc="left") == "Copy memory: at initialisation"
    assert after.get_title(loc="left") == "Copy memory: after training"
    assert before.get_yscale() == "log"
    assert before.get_xlim() == (4, 0)  # time runs from left to right, with the answer at the right
    assert legend(figure) == ["RNN", "GRU"]


def test_of_a_single_run_the_band_is_that_of_its_examples(runs):
    flow = flow_of(["gru1"], lambda *_: 0.5)
    (band,) = plots.gradient_flow(flow, runs[runs["run_id"] == "gru1"]).axes[1].collections[1:]
    ys = {round(float(y), 6) for y in band.get_paths()[0].vertices[:, 1]}
    assert ys == {round(factor * 0.5**before, 6) for factor in (0.5, 3) for before in range(5)}


def test_cell_states_are_dashed_and_norms_of_zero_leave_the_panel(runs):
    runs = runs[runs["model.name"] == "gru"]
    flow = flow_of(runs["run_id"], lambda *_: 1e-3, states=("h", "c"), layers=2, zero_before=2)
    figure = plots.gradient_flow(flow, runs)
    axes = figure.axes[0]
    lines = [line for line in axes.lines if line.get_label() == "GRU"]
    assert len(lines) == 4
    assert sorted({line.get_linestyle() for line in lines}) == ["-", "--"]
    assert legend(figure) == ["GRU", "hidden state h", "cell state c"]
    bottom = axes.get_ylim()[0]
    for line in lines:
        np.testing.assert_allclose(line.get_ydata()[:3], [1, 1e-3, 1e-6])
        assert all(0 < y < bottom for y in line.get_ydata()[3:])


def test_what_the_loss_does_not_depend_on_is_left_out(runs):
    """An LSTM's c at the answer acts only through h, so its curve starts one step earlier, at 1."""
    runs = runs[runs["model.name"] == "gru"]
    flow = flow_of(runs["run_id"], lambda *_: 0.1, states=("h", "c"))
    flow.loc[(flow["state"] == "c") & (flow["time"] == 4), "norm"] = 0.0
    axes = plots.gradient_flow(flow, runs).axes[0]
    (dashed,) = [line for line in axes.lines if line.get_label() == "GRU" and line.get_linestyle() == "--"]
    assert dashed.get_xdata().tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(dashed.get_ydata(), [1, 0.1, 0.01, 0.001])


def test_gradient_flow_without_finished_runs_shows_the_start(runs):
    flow = flow_of(runs["run_id"], lambda *_: 0.5)
    figure = plots.gradient_flow(flow, runs.assign(status="running"))
    assert [text.get_text() for text in figure.axes[1].texts] == ["no finished run"]
    with pytest.raises(UserError, match="no gradient flow was recorded"):
        plots.gradient_flow(flow.iloc[:0], runs)


def test_half_lives_are_of_the_top_layer_and_leave_gaps(runs):
    rates = dict(zip(runs["run_id"], range(1, 7), strict=True))
    rows = [
        {"run_id": run_id, "step": step, "split": "probe", "metric": f"decay_rate.{layer}.h",
         "value": -1.0 if (run_id, step, layer) == ("gru1", 10, 1) else np.log(2) / (rate * (layer + 1))}
        for run_id, rate in rates.items() for step in (0, 10, 20) for layer in (0, 1)
    ]  # fmt: skip
    (axes,) = plots.half_life(pd.DataFrame(rows), runs).axes
    line = median_line(axes, "GRU")
    assert line.get_xdata().tolist() == [0, 20], "at 10 a gradient grows"
    np.testing.assert_allclose(line.get_ydata(), [10, 10])
    assert axes.get_yscale() == "log"
    for metrics in (pd.DataFrame(rows).assign(split="train"), pd.DataFrame(rows).assign(run_id="other")):
        with pytest.raises(UserError, match="no half-life was recorded"):
            plots.half_life(metrics, runs)


@pytest.mark.parametrize("draw", [plots.gradient_flow, plots.gradient_map])
def test_norms_that_are_all_zero_are_not_drawn(runs, draw):
    with pytest.raises(UserError, match="no step has a gradient"):
        draw(flow_of(runs["run_id"], lambda *_: 0.0).assign(norm=0.0), runs)


def test_a_gradient_map_has_the_median_share_of_every_step(runs):
    base = {"gru0": 0.1, "gru1": 0.01, "gru2": 0.001, "rnn0": 0.0, "rnn1": 0.0, "rnn2": 0.0}
    figure = plots.gradient_map(flow_of(base, lambda name, step, state: base[name] if step else 1.0), runs)
    rnn, gru = figure.axes[:2]
    assert gru.get_title(loc="left") == "GRU, h: Copy memory"
    (mesh,) = gru.collections
    np.testing.assert_allclose(mesh.get_array(), [[0] * 5, [-8, -6, -4, -2, 0]], atol=1e-12)
    assert (mesh.norm.vmin, mesh.norm.vmax) == (-6, 0)
    assert gru.get_xlim() == (4.5, -0.5)
    assert not np.ma.is_masked(rnn.collections[0].get_array()), "a norm of 0 has a colour"
    with pytest.raises(UserError, match="no gradient flow was recorded"):
        plots.gradient_map(flow_of(["other"], lambda *_: 1.0), runs)
