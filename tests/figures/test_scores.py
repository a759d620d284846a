"""Scores: lines are medians over the seeds, bands are their ranges, and chance is drawn where it is known."""

import numpy as np
import pandas as pd
import pytest

from rnnbench import figures as plots
from rnnbench.errors import UserError
from tests.figures.samples import legend, median_line, run


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


def test_the_largest_length_of_training_is_marked(scores, runs):
    scores = scores[scores["by"] == "distance"]
    by_length = scores.assign(by="length")
    figure = plots.scores_by(by_length, runs.assign(**{"task.length": 3.0}), "length")
    assert any(list(line.get_xdata()) == [3.0, 3.0] for line in figure.axes[0].lines)
    assert legend(figure) == ["RNN", "GRU", "longest in training"]
    assert figure.axes[0].get_xlabel() == "length (symbols)"
    for other in (scores, by_length):
        figure = plots.scores_by(other, runs.drop(columns="task.length", errors="ignore"), other["by"].iloc[0])
        assert legend(figure) == ["RNN", "GRU"]


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


def test_score_by_size_joins_the_sizes_of_a_cell() -> None:
    sizes = [{"model.hidden_size": 8, "size.parameters": 400}, {"model.hidden_size": 16, "size.parameters": 1500}]
    runs = pd.DataFrame([run("gru", seed, **size) for seed, size in enumerate(sizes)])
    figure = plots.score_by_value(runs, "size.parameters")
    assert legend(figure) == ["GRU"]
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_xdata(), [400, 1500])
    assert figure.axes[0].get_xlabel() == "parameters"
