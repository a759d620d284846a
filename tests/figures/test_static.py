"""Lines are medians and bands are ranges. The same tables give the same bytes."""

import re

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest

from rnnbench import figures as plots
from rnnbench.analysis.settings import label_runs
from rnnbench.errors import UserError

VALUES = {"rnn": (0.5, 0.6, 0.55), "gru": (0.7, 1.0, 0.9)}
"""Scores of three seeds. The medians differ from the means and from the middle seeds."""


def run(model, seed, **more):
    base = {"run_id": f"{model}{seed}", "status": "finished", "step": 20, "solved_at": None, "diverged_at": None}
    base |= {"score": "accuracy", "score_goal": "max", "task.name": "copy_memory", "model.name": model, "seed": seed}
    return {**base, "final.accuracy": VALUES.get(model, (1, 1, 1))[seed % 3], "chance.accuracy": 0.125, **more}


@pytest.fixture
def runs():
    return pd.DataFrame([run(model, seed) for model in VALUES for seed in range(3)])


@pytest.fixture
def metrics(runs):
    rows = [
        {
            "run_id": row.run_id,
            "step": step,
            "split": split,
            "metric": metric,
            "value": step / 20 * row["final.accuracy"],
        }
        for _, row in runs.iterrows()
        for step in (0, 10, 20)
        for split, metric in (("test", "accuracy"), ("test", "loss"), ("train", "accuracy"))
    ]
    frame = pd.DataFrame(rows)
    frame.loc[(frame["split"] == "train") | (frame["metric"] == "loss"), "value"] = 77
    return frame


@pytest.fixture
def scores(runs):
    return pd.DataFrame(
        {"run_id": row.run_id, "step": step, "metric": "accuracy", "by": by, "low": low, "high": high,
         "value": row["final.accuracy"] / high if (step, by) == (20, "distance") else 77, "count": 8}
        for _, row in runs.iterrows() for step in (10, 20) for by in ("distance", "attractors")
        for low, high in ((3, 4), (1, 2))
    )  # fmt: skip


def flow_of(run_ids, decay, states=("h",), steps=(0, 20), layers=1, zero_before=None):
    """Returns norms 3 * decay(step, state) ** (4 - time), and no rows after time 4."""
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


def median_line(axes, label):
    (line,) = [line for line in axes.lines if line.get_label() == label]
    return line


def legend(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_score_by_distance_draws_medians_and_ranges_of_the_last_step(scores, runs):
    figure = plots.scores_by(scores, runs)
    (axes,) = figure.axes
    line = median_line(axes, "GRU")
    np.testing.assert_allclose(line.get_xdata(), [2 * 1.08**0.5, 4 * 1.08**0.5])  # the right panel of two
    np.testing.assert_allclose(line.get_ydata(), [0.9 / 2, 0.9 / 4])
    bands = [collection.get_paths()[0].vertices for collection in axes.collections]
    assert sorted({round(y, 6) for y in bands[1][:, 1]}) == [0.175, 0.25, 0.35, 0.5]  # 0.7 and 1.0, by 2 and by 4
    assert axes.get_xscale() == "log"
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["1-2", "3-4"]
    assert axes.get_title(loc="left") == "Copy memory"
    assert axes.get_ylabel() == "accuracy"
    assert legend(figure) == ["RNN", "GRU"]
    faint = [line for line in axes.lines if line.get_label().startswith("_child") and line.get_alpha() == 0.4]
    assert len(faint) == 6


def test_chance_is_drawn_and_labelled(scores, runs):
    (axes,) = plots.scores_by(scores, runs).axes
    assert "chance" in [text.get_text() for text in axes.texts]
    assert any(set(line.get_ydata()) == {0.125} for line in axes.lines)
    (axes,) = plots.scores_by(scores, runs.drop(columns="chance.accuracy")).axes
    assert not axes.texts


def test_only_finished_runs_are_compared_by_distance(scores, runs):
    runs.loc[runs["run_id"] == "gru0", "status"] = "running"
    runs.loc[runs["model.name"] == "rnn", "status"] = "diverged"
    figure = plots.scores_by(scores, runs)
    np.testing.assert_allclose(median_line(figure.axes[0], "GRU").get_ydata(), [0.95 / 2, 0.95 / 4])
    assert legend(figure) == ["GRU"]
    with pytest.raises(UserError, match="no finished run has scores by distance"):
        plots.scores_by(scores, runs[runs["model.name"] == "rnn"])


def test_scores_are_broken_down_by_whatever_a_task_names(scores, runs):
    """Bins with a single value are on a linear axis, which has the breakdown's name."""
    scores = scores[(scores["by"] == "attractors") & (scores["step"] == 20)]
    scores = scores.assign(low=scores["low"] - 1, high=scores["low"] - 1, value=0.5, by="distractor_words")
    (axes,) = plots.scores_by(scores, runs, "distractor_words").axes
    np.testing.assert_allclose(median_line(axes, "RNN").get_xdata(), [-0.03, 1.97])
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["0", "2"]
    assert axes.get_xscale() == "linear"
    assert axes.get_xlabel() == "distractor words"
    with pytest.raises(UserError, match="no finished run has scores by distance"):
        plots.scores_by(scores, runs)


def test_learning_curves_draw_the_test_score(metrics, runs):
    figure = plots.learning_curves(metrics, runs)
    line = median_line(figure.axes[0], "GRU")
    assert line.get_xdata().tolist() == [0, 10, 20]
    np.testing.assert_allclose(line.get_ydata(), [0, 0.45, 0.9])
    with pytest.raises(UserError, match="no run has been evaluated yet"):
        plots.learning_curves(metrics[metrics["split"] == "train"], runs)


def test_a_median_ends_with_its_first_seed_and_divergence_is_marked(metrics, runs):
    runs.loc[runs["run_id"] == "gru1", "status"] = "diverged"
    figure = plots.learning_curves(metrics[(metrics["run_id"] != "gru1") | (metrics["step"] < 20)], runs)
    axes = figure.axes[0]
    assert median_line(axes, "GRU").get_xdata().tolist() == [0, 10]
    crosses = [line for line in axes.lines if line.get_marker() == "x" and len(line.get_xdata())]
    assert [(line.get_xdata().tolist(), line.get_ydata().tolist()) for line in crosses] == [([10], [0.5])]
    assert legend(figure) == ["RNN", "GRU", "diverged"]


def test_an_error_is_drawn_on_a_log_axis(metrics, runs):
    metrics["metric"] = metrics["metric"].replace("accuracy", "mse")
    metrics["value"] += 0.01
    runs = runs.assign(score="mse", score_goal="min", **{"chance.mse": 0.1667})
    (axes,) = plots.learning_curves(metrics, runs).axes
    assert axes.get_yscale() == "log"
    assert axes.get_ylabel() == "MSE (lower is better)"


def test_scores_against_a_key_are_medians_and_quartiles():
    rates = {0.01: (0.2, 0.4, 0.9), 0.1: (0.5, 0.5, 0.7)}
    rows = [
        run("gru", seed, **{"run_id": f"{rate}{seed}", "optimizer.learning_rate": rate, "final.accuracy": value})
        for rate, values in rates.items()
        for seed, value in enumerate(values)
    ]
    runs = pd.DataFrame([*rows, run("gru", 9, status="diverged", **{"optimizer.learning_rate": 1.0})])
    figure = plots.score_by_value(runs, "optimizer.learning_rate")
    (axes,) = figure.axes
    np.testing.assert_allclose(axes.lines[0].get_xdata(), [0.01, 0.1])
    np.testing.assert_allclose(axes.lines[0].get_ydata(), [0.4, 0.5])
    assert {round(y, 3) for y in axes.collections[0].get_paths()[0].vertices[:, 1]} == {0.3, 0.65, 0.5, 0.6}
    assert legend(figure) == ["GRU"]
    assert axes.get_xlabel() == "learning rate"
    with pytest.raises(UserError, match=r"task\.length: expected a key in which finished runs differ"):
        plots.score_by_value(runs, "task.length")


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


def test_settings_are_told_apart_by_what_differs_within_a_cell():
    rows = [run("rnn", seed, **{"optimizer.learning_rate": 0.1}) for seed in range(2)]
    rows += [run("gru", seed, **{"optimizer.learning_rate": rate}) for seed in range(2) for rate in (0.01, 1.0)]
    rows += [run("mine", 0, **{"task.name": "adding", "task.length": length}) for length in (50, 100)]
    compared = label_runs(pd.DataFrame(rows))
    assert compared["line"].tolist() == [
        "RNN", "RNN", "GRU, learning rate 0.01", "GRU, learning rate 1", "GRU, learning rate 0.01",
        "GRU, learning rate 1", "mine", "mine",
    ]  # fmt: skip
    assert compared["panel"].tolist() == ["Copy memory"] * 6 + ["Adding, length 50", "Adding, length 100"]
    assert compared["chance"].tolist() == [0.125] * 8


def test_names_with_dollar_signs_are_shown_as_they_are(scores, runs, tmp_path):
    runs["model.name"] = "$x_y$ and $ _z"
    figure = plots.scores_by(scores, runs)
    plots.save(figure, tmp_path / "dollars")
    shown = figure.legends[0].get_texts()[0]
    assert shown.get_text().replace(r"\$", "$") == "$x_y$ and $ _z"
    assert shown._preprocess_math(shown.get_text()) == ("$x_y$ and $ _z", False)


def test_figures_are_written_with_the_same_bytes_whatever_the_callers_style(scores, runs, tmp_path):
    before = dict(mpl.rcParams)
    paths = plots.save(plots.scores_by(scores, runs), tmp_path / "new/first")
    assert [path.name for path in paths] == ["first.png", "first.svg"]
    with mpl.rc_context({"font.size": 30, "axes.grid": True, "savefig.dpi": 20, "text.color": "red"}):
        again = plots.save(plots.scores_by(scores.sample(frac=1, random_state=0), runs), tmp_path / "second")
    for path, other in zip(paths, again, strict=True):
        assert path.read_bytes() == other.read_bytes()
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert not re.search(rb"<dc:date>", paths[1].read_bytes())
    assert dict(mpl.rcParams) == before
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot write the figure .*file/first"):
        plots.save(plots.scores_by(scores, runs), tmp_path / "file/first")


def lines_of(runs, **columns):
    """Returns a table with a row for each run and each entry of the columns."""
    return pd.concat([pd.DataFrame({"run_id": run_id, "step": 20, "layer": 0} | columns) for run_id in runs["run_id"]])


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


def test_time_constants_are_of_the_mean_over_time_and_sorted(runs):
    """One run's units, with means 0.9 and 0.5, keep c for 10 and 2 steps; another run keeps h forever."""
    one = lines_of(runs[:1], state="c", unit=[0, 0, 1, 1], time=[0, 1, 0, 1], mean=[0.8, 1.0, 0.4, 0.6])
    lower = one.assign(layer=-1, mean=0.0)
    other = lines_of(runs[3:], state="h", unit=[0, 1], time=0, mean=1.0)
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
    rows = [lines_of(runs[runs["run_id"] == run_id], state="h", unit=[0, 1], time=0, mean=own)
            for run_id, own in means.items()]  # fmt: skip
    (axes,) = plots.time_constants(pd.concat(rows), runs).axes
    np.testing.assert_allclose(median_line(axes, "GRU").get_ydata(), [2, 5])


def test_the_largest_singular_value_is_drawn_against_the_lag(runs):
    spectra = lines_of(runs, kind="singular_value", state="h", lag=[1, 2, 2], number=[0, 0, 1], value=[0.5, 0.25, 9.0])
    both = spectra.assign(state="h,c", value=1.0)
    figure = plots.singular_values(pd.concat([spectra, both]), runs)
    (axes,) = figure.axes
    full, dashed = [line for line in axes.lines if line.get_label() == "GRU"]
    assert full.get_xdata().tolist() == [1, 2]
    np.testing.assert_allclose(full.get_ydata(), [0.5, 0.25])
    assert (full.get_linestyle(), dashed.get_linestyle()) == ("-", "--")
    assert legend(figure) == ["RNN", "GRU", "of h", "of all states"]
    with pytest.raises(UserError, match="no Jacobian was recorded"):
        plots.singular_values(spectra.assign(kind="spectral_radius"), runs)


def test_lyapunov_exponents_are_numbered_from_1(runs):
    spectra = lines_of(runs, kind="lyapunov_exponent", state="h", lag=0, number=[0, 1, 2], value=[0.1, -0.5, -np.inf])
    line = median_line(plots.lyapunov_exponents(spectra, runs).axes[0], "GRU")
    assert line.get_xdata().tolist() == [1, 2]
    np.testing.assert_allclose(line.get_ydata(), [0.1, -0.5])
    with pytest.raises(UserError, match="no Lyapunov exponent was recorded"):
        plots.lyapunov_exponents(spectra.assign(kind="singular_value"), runs)


def test_memory_of_h_and_of_all_states(runs):
    memory = lines_of(runs, state="h", time=[0, 1], r2=[1.0, 0.2])
    (axes,) = plots.memory(pd.concat([memory, memory.assign(state="h,c", r2=0.9)]), runs).axes
    full, dashed = [line for line in axes.lines if line.get_label() == "RNN"]
    np.testing.assert_allclose(full.get_ydata(), [1, 0.2])
    np.testing.assert_allclose(dashed.get_ydata(), 0.9)
    with pytest.raises(UserError, match="no memory was recorded"):
        plots.memory(memory.assign(r2=np.nan), runs)
