"""Compares our cells with those of Flax and PyTorch, with the same weights."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, VanillaRNN, unroll

TIME, BATCH, FEATURES, HIDDEN = 5, 2, 3, 4
TORCH = {
    "rnn_tanh": (VanillaRNN, {"activation": "tanh"}),
    "rnn_relu": (VanillaRNN, {"activation": "relu"}),
    "lstm": (LSTM, {}),
    "gru": (GRU, {}),
}


@pytest.fixture(scope="module")
def torch_arrays() -> dict[str, np.ndarray]:
    """Returns the arrays that `make_torch_reference.py` wrote."""
    with np.load(Path(__file__).parent / "data" / "torch_reference.npz", allow_pickle=False) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("name", TORCH)
def test_values_and_gradients_are_those_of_torch(torch_arrays, name):
    reference = {key.split(".", 1)[1]: value for key, value in torch_arrays.items() if key.startswith(f"{name}.")}
    make, options = TORCH[name]
    cell = make(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0), **options)
    graphdef, state = nnx.split(cell)
    assert reference["x"].dtype == np.float64
    given = {key: jnp.asarray(value) for key, value in reference.items() if f"grad.{key}" in reference}

    def outputs(given):
        params = {"kernel": given["weight_ih_l0"].T, "recurrent_kernel": given["weight_hh_l0"].T}
        params["bias"] = given["bias_ih_l0"] + given["bias_hh_l0"]
        if name == "gru":  # the candidate has two separate biases; b_hn is our c_n
            params["bias"] = given["bias_ih_l0"] + given["bias_hh_l0"].at[-HIDDEN:].set(0)
            params["recurrent_bias"] = given["bias_hh_l0"][-HIDDEN:]
        assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, nnx.to_pure_dict(state))
        carry = tuple(given[key][0] for key in ("h0", "c0") if key in given)
        return unroll(nnx.merge(graphdef, params), given["x"], carry)[1]

    np.testing.assert_allclose(outputs(given), reference["y"], rtol=1e-10, atol=1e-12)
    gradient = jax.jit(jax.grad(lambda given: jnp.sum(jnp.sin(outputs(given)))))(given)
    for key, value in gradient.items():
        np.testing.assert_allclose(value, reference[f"grad.{key}"], rtol=1e-10, atol=1e-12, err_msg=key)


def simple_cell(flax_cell):
    i, h = flax_cell.dense_i, flax_cell.dense_h
    return VanillaRNN, i.kernel, h.kernel, i.bias


def lstm_cell(flax_cell):
    def side_by_side(prefix, name):
        gates = [getattr(flax_cell, prefix + gate) for gate in ("i", "f" if prefix == "h" else "f_", "g", "o")]
        return jnp.concatenate([getattr(gate, name)[...] for gate in gates], axis=-1)

    return LSTM, side_by_side("i", "kernel"), side_by_side("h", "kernel"), side_by_side("h", "bias")


def optimized_lstm_cell(flax_cell):
    return LSTM, flax_cell.dense_i.kernel, flax_cell.dense_h.kernel, flax_cell.dense_h.bias


def gru_cell(flax_cell):
    return GRU, flax_cell.dense_i.kernel, flax_cell.dense_h.kernel, flax_cell.dense_i.bias


@pytest.mark.parametrize(
    ("make_flax", "weights"),
    [
        (nnx.SimpleCell, simple_cell),
        (nnx.LSTMCell, lstm_cell),
        (nnx.OptimizedLSTMCell, optimized_lstm_cell),
        (nnx.GRUCell, gru_cell),
    ],
)
def test_values_are_those_of_flax(make_flax, weights):
    """Our cells have another initial forget bias (1) and an extra bias c_n (initially zero), but compute the same."""
    options = {"dtype": jnp.float64} if make_flax is nnx.SimpleCell else {}
    flax_cell = make_flax(
        FEATURES,
        HIDDEN,
        param_dtype=jnp.float64,
        bias_init=jax.nn.initializers.normal(),
        rngs=nnx.Rngs(3),
        **options,
    )
    make_ours, kernel, recurrent_kernel, bias = weights(flax_cell)
    cell = make_ours(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    cell.kernel[...], cell.recurrent_kernel[...], cell.bias[...] = kernel[...], recurrent_kernel[...], bias[...]

    inputs = jax.random.normal(jax.random.key(4), (TIME, BATCH, FEATURES), jnp.float64)
    expected = nnx.RNN(flax_cell, time_major=True)(inputs)
    np.testing.assert_allclose(unroll(cell, inputs)[1], expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_allclose(unroll(flax_cell, inputs)[1], expected, rtol=1e-10, atol=1e-12)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def drives(cell, x, h):
    """Returns x W + b and h U of each gate, by name."""
    names = cell.blocks
    from_input = np.split(x @ np.asarray(cell.kernel) + np.asarray(cell.bias), len(names), axis=-1)
    kernels = np.split(np.asarray(cell.recurrent_kernel), len(names), axis=-1)
    return dict(zip(names, from_input, strict=True)), {n: h @ u for n, u in zip(names, kernels, strict=True)}, kernels


def peephole_step(cell, x, h, c):
    """Gers & Schmidhuber (2000): i and f see the old cell state, and o sees the new one."""
    from_input, from_state, _ = drives(cell, x, h)
    z = {name: from_input[name] + from_state[name] for name in from_input}
    p_input, p_forget, p_output = np.asarray(cell.peephole)
    new = sigmoid(z["forget"] + p_forget * c) * c + sigmoid(z["input"] + p_input * c) * np.tanh(z["candidate"])
    return sigmoid(z["output"] + p_output * new) * np.tanh(new), new


def reset_before_step(cell, x, h):
    """Cho et al. (2014): the reset gate multiplies the state before the candidate's matmul."""
    from_input, from_state, kernels = drives(cell, x, h)
    reset, update = (sigmoid(from_input[name] + from_state[name]) for name in ("reset", "update"))
    candidate = np.tanh(from_input["candidate"] + (reset * h) @ kernels[-1])
    return ((1 - update) * candidate + update * h,)


@pytest.mark.parametrize(
    ("cell", "step"), [("lstm-peepholes", peephole_step), ("gru-before", reset_before_step)], indirect=["cell"]
)
def test_options_compute_their_papers_equations(cell, step):
    generator = np.random.default_rng(0)
    inputs = generator.standard_normal((TIME, BATCH, FEATURES))
    states = tuple(generator.standard_normal((BATCH, HIDDEN)) for _ in cell.states)
    last, outputs = unroll(cell, jnp.asarray(inputs), tuple(map(jnp.asarray, states)))
    for x, output in zip(inputs, outputs, strict=True):
        states = step(cell, x, *states)
        np.testing.assert_allclose(output, states[0], rtol=1e-10, atol=1e-12)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), last, states)
