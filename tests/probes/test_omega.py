"""Omega: the closed form of a linear network, its gradient by finite differences, and its effect on training."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench.cells import LSTM, VanillaRNN
from rnnbench.probes.gradient_flow import state_gradients
from rnnbench.probes.omega import omega
from rnnbench.tasks import Adding
from tests.helpers import BATCH, batch_of, build

LENGTH = 6


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.3])
def test_of_a_linear_network_every_step_counts_the_same(scale):
    """With U = s Q and Q orthogonal, each of the T - 1 ratios is s."""
    task = Adding(length=LENGTH)
    orthogonal = jax.nn.initializers.orthogonal(scale)
    model = build(functools.partial(VanillaRNN, activation="identity", recurrent_kernel_init=orthogonal), task)
    np.testing.assert_allclose(
        jax.jit(omega, static_argnums=1)(model, task, batch_of(task)), (LENGTH - 1) * (scale - 1) ** 2, atol=1e-5
    )


def test_steps_with_a_vanished_gradient_count():
    """With T = 120 and s = 0.5, the first gradient is 10^-36 of the last."""
    task = Adding(length=120)
    orthogonal = jax.nn.initializers.orthogonal(0.5)
    model = build(functools.partial(VanillaRNN, activation="identity", recurrent_kernel_init=orthogonal), task)
    np.testing.assert_allclose(omega(model, task, batch_of(task)), 119 * 0.25, rtol=1e-3)


def test_padded_steps_do_not_count():
    task = Adding(length=LENGTH)
    batch = batch_of(task)
    mask = jnp.arange(LENGTH)[None] < jnp.array([[LENGTH], [3], [1]])
    orthogonal = jax.nn.initializers.orthogonal(0.5)
    model = build(functools.partial(VanillaRNN, activation="identity", recurrent_kernel_init=orthogonal), task)
    steps = np.mean([LENGTH - 1, 2, 0])
    np.testing.assert_allclose(omega(model, task, batch._replace(mask=mask)), steps * 0.25, rtol=1e-4)


def test_padding_that_is_no_number_does_not_reach_its_gradient():
    task = Adding(length=LENGTH)
    batch = batch_of(task)
    mask = jnp.arange(LENGTH)[None] < jnp.array([[LENGTH], [3], [1]])
    graphdef, state = nnx.split(build(LSTM, task))

    def gradient(padding):
        padded = batch._replace(mask=mask, inputs=jnp.where(mask[..., None], batch.inputs, padding))
        return jax.grad(lambda state: omega(nnx.merge(graphdef, state), task, padded))(state)

    jax.tree.map(np.testing.assert_array_equal, gradient(jnp.nan), gradient(0.0))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient(jnp.nan)))


@pytest.mark.parametrize("make_cell", [VanillaRNN, LSTM])
def test_its_gradient_holds_states_and_their_gradients(make_cell):
    """Uses finite differences of the formula, with s_t and dL/ds_{t+1} fixed at those of the unchanged model."""
    task = Adding(length=LENGTH)
    with jax.enable_x64(True):
        model = build(functools.partial(make_cell, param_dtype=jnp.float64), task)
        graphdef, state = nnx.split(model)
        state = jax.tree.map(lambda x: x.astype(jnp.float64), state)
        model = nnx.merge(graphdef, state)
        with jax.numpy_dtype_promotion("standard"):
            batch = batch_of(task)
        batch = batch._replace(inputs=batch.inputs.astype(jnp.float64), targets=batch.targets.astype(jnp.float64))
        gradient = jax.grad(lambda state: omega(nnx.merge(graphdef, state), task, batch))(state)
        xs = batch.inputs.swapaxes(0, 1)

        carry, states = model.layers[0].initialize_carry(xs.shape[1:]), []
        for x in xs:
            carry, _ = model.layers[0](carry, x)
            states.append(carry)
        (later,) = state_gradients(model, task, batch)

        def formula(cell):
            total = 0.0
            for t in range(LENGTH - 1):
                upper = [leaf[t + 1] for leaf in later]
                for n in range(BATCH):
                    row = tuple(leaf[n] for leaf in states[t])
                    jacobian = jax.jacobian(lambda s, t=t, n=n: jnp.concatenate(cell(s, xs[t + 1, n])[0]))(row)
                    whole = jnp.concatenate(jacobian, axis=1)
                    g = jnp.concatenate([leaf[n] for leaf in upper])
                    total += (jnp.linalg.norm(g @ whole) / jnp.linalg.norm(g) - 1) ** 2
            return total / BATCH

        direction = jax.random.normal(jax.random.key(7), model.layers[0].recurrent_kernel.shape, jnp.float64)
        values = []
        for sign in (1, -1):
            moved = nnx.clone(model)
            moved.layers[0].recurrent_kernel[...] += sign * 1e-5 * direction
            values.append(formula(moved.layers[0]))
        slope = (values[0] - values[1]) / 2e-5
        found = jnp.vdot(gradient["layers"][0]["recurrent_kernel"][...], direction)
        value = omega(model, task, batch)
        expected = formula(model.layers[0])
    np.testing.assert_allclose(found, slope, rtol=1e-5)
    np.testing.assert_allclose(value, expected, rtol=1e-9)
