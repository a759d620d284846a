"""An evaluation scores the whole test set, example by example and answer by answer."""

import jax
import numpy as np
import pytest

from rnnbench import compose
from rnnbench.training.program import program
from rnnbench.training.tables import scores


@pytest.mark.parametrize("devices", [1, 4])
def test_a_fixed_test_set_is_scored_whole_whatever_size_was_asked_for(devices: int) -> None:
    found = []
    for size in (5, 1000):
        config = compose("model=rnn", "model.hidden_size=4", "task=digits", f"train.test_size={size}")
        shared = program([config], jax.local_devices()[:devices])
        metrics, answers = shared.evaluate(shared.place([shared.init(config)]))
        assert answers is None
        assert {values.shape for values in metrics.values()} == {(1, 355)}
        rows = scores(metrics, answers, shared.tasks, shared.test_sets, ["a"], 0).to_pandas()
        assert rows["by"].unique().tolist() == ["label"]
        assert rows["count"].tolist() == np.bincount(shared.test_sets[0].targets).tolist()
        assert (rows["value"] * rows["count"]).sum() / 355 == pytest.approx(metrics["accuracy"].mean())
        found.append(metrics["loss"])
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("devices", [1, 4])
def test_scores_of_answers_are_recorded_by_their_own_distances(devices: int) -> None:
    config = compose(
        "model=rnn", "model.hidden_size=4", "task=reverse", "task.symbols=5", "task.alphabet=2", "train.test_size=30"
    )
    shared = program([config], jax.local_devices()[:devices])
    metrics, answers = shared.evaluate(shared.place([shared.init(config)]))
    assert answers.shape == (1, 30, 5)
    np.testing.assert_allclose(answers.mean(axis=2), metrics["accuracy"], rtol=1e-6)
    # The distances are 1, 3, 5, 7 and 9.
    rows = scores(metrics, answers, shared.tasks, shared.test_sets, ["a"], 0).to_pylist()
    assert [(row["low"], row["high"], row["count"]) for row in rows] == [
        (1, 2, 30),
        (3, 4, 30),
        (5, 8, 60),
        (9, 16, 30),
    ]
    own = [answers[0, :, 0], answers[0, :, 1], answers[0, :, 2:4], answers[0, :, 4]]
    assert [row["value"] for row in rows] == pytest.approx([values.mean() for values in own])
