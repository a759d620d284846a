"""Compares gate values with the equations, with padding, and for every kind of cell."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, VanillaRNN
from rnnbench.model import Model
from rnnbench.probes.gates import gate_values
from rnnbench.tasks import Adding

LENGTH, HIDDEN, BATCH = 5, 3, 2


def build(make_cell, num_layers=1):
    return Model(make_cell, Adding(length=LENGTH), hidden_size=HIDDEN, num_layers=num_layers, rngs=nnx.Rngs(2))


def inputs_and_mask():
    inputs = jax.random.normal(jax.random.key(3), (BATCH, LENGTH, 2))
    return inputs, jnp.arange(LENGTH)[None] < jnp.array([[LENGTH], [3]])


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def test_gates_of_an_lstm_follow_its_equations():
    model = build(functools.partial(LSTM, peepholes=True))
    cell = model.layers[0]
    cell.peephole[...] = 0.5 * jax.random.normal(jax.random.key(4), (3, HIDDEN))
    inputs, mask = inputs_and_mask()
    values = jax.jit(gate_values)(model, inputs, mask)
    assert set(values) == {(0, name) for name in ("input", "forget", "candidate", "output")}
    names = cell.blocks
    W, U, b = (
        dict(zip(names, np.split(np.asarray(p[...]), 4, axis=-1), strict=True))
        for p in (cell.kernel, cell.recurrent_kernel, cell.bias)
    )
    p_i, p_f, p_o = np.asarray(cell.peephole[...])
    h = c = np.zeros((BATCH, HIDDEN))
    for t in range(LENGTH):
        z = {name: np.asarray(inputs)[:, t] @ W[name] + b[name] + h @ U[name] for name in names}
        i, f, g = sigmoid(z["input"] + p_i * c), sigmoid(z["forget"] + p_f * c), np.tanh(z["candidate"])
        new_c = f * c + i * g
        o = sigmoid(z["output"] + p_o * new_c)
        for name, expected in {"input": i, "forget": f, "candidate": g, "output": o}.items():
            np.testing.assert_allclose(values[0, name][t], expected, rtol=1e-4, atol=1e-6)
        held = np.asarray(mask[:, t, None])  # a padded step does not change the states
        h, c = np.where(held, o * np.tanh(new_c), h), np.where(held, new_c, c)


@pytest.mark.parametrize("reset", ["after", "before"])
def test_a_deferred_gate_is_what_the_step_made_of_it(reset):
    """The observed n and z must satisfy h' = n + z (h - n)."""
    model = build(functools.partial(GRU, reset=reset))
    cell = model.layers[0]
    inputs, _ = inputs_and_mask()
    states = (jax.random.normal(jax.random.key(5), (BATCH, HIDDEN)),)
    (new,), values = cell.observe(states, inputs[:, 0])
    assert list(values) == ["reset", "update", "candidate"]
    n, z = values["candidate"], values["update"]
    np.testing.assert_allclose(new, n + z * (states[0] - n), rtol=1e-6)
    np.testing.assert_array_equal(new, cell(states, inputs[:, 0])[1])


def test_layers_see_what_is_below_them():
    model = build(VanillaRNN, num_layers=2)
    inputs, mask = inputs_and_mask()
    values = gate_values(model, inputs, jnp.ones_like(mask))
    upper = model.layers[1]
    h = jnp.zeros((BATCH, HIDDEN))
    for t in range(LENGTH):
        bias = jnp.broadcast_to(upper.bias[...], h.shape)
        h = jnp.tanh(values[0, "hidden"][t] @ upper.kernel[...] + bias + h @ upper.recurrent_kernel[...])
        np.testing.assert_allclose(values[1, "hidden"][t], h, rtol=1e-5, atol=1e-6)


def test_of_a_foreign_cell_no_gates_are_known():
    assert gate_values(build(nnx.GRUCell), *inputs_and_mask()) == {}
