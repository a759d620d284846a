"""Compares memory with brute force and with known values."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rnnbench.probes.memory import RIDGES, memory


def test_is_that_of_fits_without_each_example():
    rng = np.random.default_rng(0)
    states, first = rng.normal(size=(2, 12, 4)), rng.normal(size=(12, 2))
    states[0, :, :2] += 3 * first
    with jax.enable_x64(True):
        found = memory(jnp.asarray(states), jnp.asarray(first))
    for h, r2 in zip(states, found, strict=True):
        scores = []
        for ridge in RIDGES:
            squares = others = 0.0
            for n in range(12):
                kept = np.arange(12) != n
                mean_x, mean_h = first[kept].mean(0), h.mean(0)  # the states are centred once, over all examples
                # Ridge regression on the centred states, with an intercept that is not penalised.
                design = np.c_[np.ones(11), (h - mean_h)[kept]]
                penalty = ridge * np.linalg.svd(h - mean_h, compute_uv=False)[0] ** 2
                weights = np.linalg.solve(design.T @ design + penalty * np.diag([0] + [1] * 4), design.T @ first[kept])
                squares += np.sum((first[n] - np.r_[1, (h - mean_h)[n]] @ weights) ** 2)
                others += np.sum((first[n] - mean_x) ** 2)
            scores.append(1 - squares / others)
        np.testing.assert_allclose(r2, max(0, *scores), rtol=1e-8)


def test_a_delay_line_remembers_as_long_as_it_is():
    hidden, time, batch = 4, 9, 200
    x = jax.random.normal(jax.random.key(0), (time, batch))
    line = jnp.stack([jnp.stack([x[t - k] if t >= k else 0 * x[0] for k in range(hidden)], -1) for t in range(time)])
    r2 = jax.jit(memory)(line, x[0][:, None])
    np.testing.assert_allclose(r2[:hidden], 1, atol=1e-4)
    np.testing.assert_array_less(r2[hidden:], 0.05)


@pytest.mark.parametrize(("examples", "hidden"), [(30, 64), (16, 300), (3, 4)])
def test_as_many_units_as_examples_do_not_feign_memory(examples, hidden):
    states = jax.random.normal(jax.random.key(1), (20, examples, hidden))
    assert float(memory(states, jax.random.normal(jax.random.key(2), (examples, 2))).mean()) < 0.05


def test_too_few_examples_are_refused():
    with pytest.raises(ValueError, match="expected 3 examples or more, got 2"):
        memory(jnp.ones((3, 2, 4)), jnp.ones((2, 1)))


@pytest.mark.parametrize("first", [jnp.full((6, 2), 0.1234), jnp.zeros((6, 1))])
def test_a_first_input_that_never_varies_cannot_be_remembered(first):
    assert np.isnan(memory(jax.random.normal(jax.random.key(1), (3, 6, 4)), first)).all()
