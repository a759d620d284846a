"""Compares gradient flow with the closed form of a linear network and with finite differences."""

import functools
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, VanillaRNN
from rnnbench.probes.gradient_flow import gradient_flow
from rnnbench.tasks import Adding
from tests.helpers import BATCH, batch_of, build

LENGTH = 6


class SumOfOutputs(Adding):
    """Adding, with the output after the last step as L, so that dL/dh_T is the readout's kernel."""

    def probe_loss(self, outputs, example):
        return jnp.sum(outputs)


class SineOfOutputs(Adding):
    """Adding, with a nonlinear loss at every step."""

    last_step_only: ClassVar[bool] = False

    def probe_loss(self, outputs, example):
        return jnp.sum(jnp.where(example.mask[:, None], jnp.sin(3 * outputs), 0.0))


@pytest.mark.parametrize("scale", [0.7, 1.0, 1.2])
def test_linear_network_scales_the_gradient_at_each_step(scale):
    """||dL/dh_t|| = s^(T - t) ||r|| if U is s times an orthogonal matrix."""
    task = SumOfOutputs(length=LENGTH)
    orthogonal = jax.nn.initializers.orthogonal(scale)
    make = functools.partial(VanillaRNN, activation="identity", recurrent_kernel_init=orthogonal)
    model = build(make, task)
    flow = jax.jit(lambda batch: gradient_flow(model, task, batch))(batch_of(task))
    expected = scale ** np.arange(LENGTH - 1, -1, -1) * np.linalg.norm(model.readout.kernel[...])
    assert set(flow) == {(0, "h")}
    np.testing.assert_allclose(flow[0, "h"], np.repeat(expected[:, None], BATCH, axis=1), rtol=1e-5)


def test_a_gradient_whose_square_is_0_has_a_norm():
    """||dL/dh_1|| = 0.5^100 ||r||, about 1e-30, whose square is too small for float32."""
    task = SumOfOutputs(length=101)
    make = functools.partial(
        VanillaRNN, activation="identity", recurrent_kernel_init=jax.nn.initializers.orthogonal(0.5)
    )
    model = build(make, task)
    flow = gradient_flow(model, task, batch_of(task))[0, "h"]
    expected = 0.5**100 * np.linalg.norm(np.asarray(model.readout.kernel[...]))
    np.testing.assert_allclose(flow[0], np.full(BATCH, expected), rtol=1e-3)


def test_layers_of_a_linear_network():
    """A lower layer's gradient is the sum over all paths to the upper layer, with powers of both kernels."""
    task = SumOfOutputs(length=LENGTH)
    model = build(functools.partial(VanillaRNN, activation="identity"), task, num_layers=2)
    flow = jax.jit(lambda batch: gradient_flow(model, task, batch))(batch_of(task))
    lower, upper = model.layers[0].recurrent_kernel[...], model.layers[1].recurrent_kernel[...]
    up, readout = model.layers[1].kernel[...], model.readout.kernel[...].sum(1)
    power = np.linalg.matrix_power
    for t in range(LENGTH):
        ways = (power(lower, k) @ up @ power(upper, LENGTH - 1 - t - k) @ readout for k in range(LENGTH - t))
        np.testing.assert_allclose(flow[0, "h"][t], np.full(BATCH, np.linalg.norm(sum(ways))), rtol=1e-4)


@pytest.mark.parametrize(
    ("make_cell", "states"),
    [
        (VanillaRNN, ["h"]),
        (LSTM, ["h", "c"]),
        (GRU, ["h"]),
        (nnx.SimpleCell, ["h"]),
        (nnx.GRUCell, ["h"]),
        (nnx.LSTMCell, ["c", "h"]),
        (nnx.OptimizedLSTMCell, ["c", "h"]),
    ],
)
def test_gradient_is_the_slope_of_the_loss_along_each_state(make_cell, states):
    """Estimates dL/ds_t by adding small numbers to s_t, for all layers, states and steps, including padding."""
    task = SineOfOutputs(length=LENGTH)
    batch = batch_of(task)
    with jax.enable_x64(True):
        options = {"dtype": jnp.float64} if make_cell is nnx.SimpleCell else {}
        model = build(functools.partial(make_cell, param_dtype=jnp.float64, **options), task, num_layers=2)
        model = nnx.merge(*as_float64(model))
        mask = jnp.arange(LENGTH)[None] < jnp.array([6, 4, 5])[:, None]
        batch = batch._replace(inputs=batch.inputs.astype(jnp.float64), mask=mask)
        flow = jax.jit(lambda: gradient_flow(model, task, batch))()

        def loss(flat):
            outputs, _ = model(batch.inputs, batch.mask, perturbation=tree.unflatten(list(flat)))
            return jnp.sum(jax.vmap(task.probe_loss)(outputs, batch))

        leaves, tree = jax.tree.flatten(model.zero_perturbation(batch.inputs))
        zero = jnp.stack(leaves)
        steps = 1e-5 * jnp.eye(zero.size).reshape(zero.size, *zero.shape)
        slopes = jax.jit(lambda: jax.lax.map(lambda e: (loss(e) - loss(-e)) / 2e-5, steps))().reshape(zero.shape)
    assert set(flow) == {(layer, state) for layer in (0, 1) for state in states}
    for (layer, state), norms in flow.items():
        slope = slopes[layer * len(states) + states.index(state)]
        np.testing.assert_allclose(norms, np.linalg.norm(slope, axis=-1), rtol=1e-6, atol=1e-8)


def as_float64(model):
    graphdef, state = nnx.split(model)
    return graphdef, jax.tree.map(lambda leaf: leaf.astype(jnp.float64), state)
