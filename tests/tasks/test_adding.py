import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnbench.tasks import Adding
from rnnbench.testing import check_task

SIZE = 4000


def draw(task: Adding):
    return jax.tree.map(np.asarray, jax.jit(jax.vmap(task.example))(jax.random.split(jax.random.key(3), SIZE)))


@pytest.mark.parametrize("task", [Adding(length=9), Adding(length=20, form="1997")])
def test_contract(task):
    check_task(task)


def test_halves_have_one_mark_each_and_the_target_is_their_sum():
    batch = draw(Adding(length=9))
    values, marks = batch.inputs[..., 0], batch.inputs[..., 1]
    assert (values >= 0).all()
    assert (values < 1).all()
    np.testing.assert_array_equal(marks[:, :4].sum(1), 1)
    np.testing.assert_array_equal(marks[:, 4:].sum(1), 1)
    np.testing.assert_allclose(batch.targets[:, 0], (values * marks).sum(1), rtol=1e-6)
    assert np.unique(np.argmax(marks, axis=1)).tolist() == [0, 1, 2, 3]
    assert np.unique(8 - np.argmax(marks[:, ::-1], axis=1)).tolist() == [4, 5, 6, 7, 8]
    np.testing.assert_array_equal(batch.info["distance"], 9 - np.argmax(marks, axis=1))


def test_1997_is_drawn_as_in_the_paper():
    task = Adding(length=40, form="1997")
    batch = draw(task)
    values, marks = batch.inputs[..., 0], batch.inputs[..., 1]
    lengths = batch.mask.sum(1)
    assert task.length == 44
    assert np.unique(lengths).tolist() == [40, 41, 42, 43, 44]
    assert not values[~batch.mask].any()
    assert not marks[~batch.mask].any()
    rows = np.arange(SIZE)
    np.testing.assert_array_equal(marks[:, 0], -1)
    np.testing.assert_array_equal(marks[rows, lengths - 1], -1)
    marked = marks == 1
    assert set(marked.sum(1)) == {1, 2}  # one, if the other is in the first pair
    first_pair = marked.sum(1) == 1
    np.testing.assert_array_equal(values[first_pair, 0], 0)
    np.testing.assert_allclose(first_pair.mean(), 1 / 10 + 9 / 10 / 19, atol=0.02)
    np.testing.assert_allclose(batch.targets[:, 0], 0.5 + (values * marked).sum(1) / 4, atol=1e-6)
    assert np.argmax(marked[~first_pair], axis=1).max() == 9
    assert np.flatnonzero(marked.any(0)).max() == 19
    distance = np.where(first_pair, lengths, lengths - np.argmax(marked, axis=1))
    np.testing.assert_array_equal(batch.info["distance"], distance)
    assert set(task.probe_set(64).mask.sum(1).tolist()) == {40}, "their time steps line up"


@pytest.mark.parametrize(
    ("task", "mean"), [(Adding(length=10), 1.0), (Adding(length=40, form="1997"), 0.5)], ids=["halves", "1997"]
)
def test_chance_is_what_the_mean_reaches(task, mean):
    batch = draw(task)
    metrics = jax.vmap(task.metrics, in_axes=(None, 0))(jnp.array([mean]), batch)
    chance = task.chance()
    np.testing.assert_allclose(np.mean(metrics["mse"]), chance["mse"], rtol=0.06)
    np.testing.assert_allclose(np.mean(metrics["accuracy"]), chance["accuracy"], atol=0.02)


def test_chance_of_the_literature():
    assert Adding().chance()["mse"] == pytest.approx(1 / 6)
    assert Adding(length=100_000, form="1997").chance()["mse"] == pytest.approx((1 / 24) * (1 - 1 / 20), rel=1e-3)


def test_accuracy_and_solved_share_the_tolerance_of_1997():
    task = Adding(length=4)
    example = task.example(jax.random.key(0))
    near, far = (task.metrics(example.targets + error, example) for error in (0.039, 0.041))
    assert (near["accuracy"], far["accuracy"]) == (1, 0)
    assert task.solved({"mse": float(near["mse"])})
    assert not task.solved({"mse": float(far["mse"])})


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"length": 1}, "length: expected at least 2 in the form 'halves', got 1"),
        ({"length": 19, "form": "1997"}, "length: expected at least 20 in the form '1997', got 19"),
        ({"form": "1998"}, "form: expected 'halves' or '1997', got '1998'"),
    ],
)
def test_impossible_arguments_are_named(arguments, message):
    unchecked = inspect.unwrap(Adding.__init__)  # skips the tests' type checker, like the command line
    with pytest.raises(ValueError, match=message):
        unchecked(object.__new__(Adding), **arguments)
