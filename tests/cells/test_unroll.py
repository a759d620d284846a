"""Compares every cell's unroll and its gradient with finite differences and with a plain `lax.scan`."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax.extend.core import ClosedJaxpr

from rnnbench.cells import GRU, LSTM, VanillaRNN, plain_unroll, sigmoid, unroll

TIME, BATCH, FEATURES, HIDDEN = 5, 3, 3, 4
# One sequence without padding, one padded at the end, and one padded in the middle and at the start.
MASK = jnp.array([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0], [0, 1, 0, 1, 1]], bool).T


def normal(seed, *shape):
    return jax.random.normal(jax.random.key(seed), shape, jnp.float64)


def arguments(cell):
    """Returns the parameters, inputs, initial carry and perturbation."""
    widths = cell.state_features.values()
    return (
        nnx.state(cell, nnx.Param),
        normal(2, TIME, BATCH, FEATURES),
        tuple(normal(3 + i, BATCH, width) for i, width in enumerate(widths)),
        perturbation(cell, TIME),
    )


def perturbation(cell, time):
    return tuple(0.1 * normal(7 + i, time, BATCH, width) for i, width in enumerate(cell.state_features.values()))


def as_function(cell, mask, run=unroll, **options):
    """Returns a function of all of the unroll's inputs that gives a scalar computed from all of its outputs."""
    graphdef, _, constants = nnx.split(cell, nnx.Param, ...)

    def scalar(params, inputs, carry, perturbation):
        last, outputs = run(nnx.merge(graphdef, params, constants), inputs, carry, mask, perturbation, **options)
        return jnp.sum(jnp.sin(outputs)) + sum(jnp.sum(jnp.cos((i + 1) * state)) for i, state in enumerate(last))

    return scalar


# These cells differ most. They test what the framework does in the same way for every cell.
few_cells = pytest.mark.parametrize(
    "cell", ["lstm-peepholes", "gru", "own-parameters", "driven-by-other-state", "projected-deferred"], indirect=True
)


def test_own_gradient_equals_that_of_a_plain_scan(cell):
    def both(*given):
        return [
            jax.value_and_grad(as_function(cell, MASK, run), (0, 1, 2, 3))(*given) for run in (unroll, plain_unroll)
        ]

    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), *jax.jit(both)(*arguments(cell))
    )


def test_gradient_equals_finite_differences(cell):
    given, small = arguments(cell), 1e-6
    function = jax.jit(as_function(cell, MASK))
    gradient = jax.jit(jax.grad(as_function(cell, MASK), (0, 1, 2, 3)))(*given)
    for number, name in enumerate(("parameters", "inputs", "carry", "perturbation")):
        leaves, tree = jax.tree.flatten(given[number])
        for i, leaf in enumerate(leaves):
            direction = normal(20 + i, *leaf.shape)

            def along(distance, i=i, leaf=leaf, direction=direction, leaves=leaves, tree=tree, number=number):
                moved = tree.unflatten([*leaves[:i], leaf + distance * direction, *leaves[i + 1 :]])
                return function(*given[:number], moved, *given[number + 1 :])

            expected = (along(small) - along(-small)) / (2 * small)
            found = jnp.vdot(jax.tree.leaves(gradient[number])[i], direction)
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-7, err_msg=f"{name}, leaf {i}")


def test_stepping_by_hand_gives_the_same(cell):
    _, inputs, carry, _ = arguments(cell)
    last, outputs = unroll(cell, inputs, carry)
    for x, output in zip(inputs, outputs, strict=True):
        carry, y = cell(carry, x)
        np.testing.assert_allclose(output, y, rtol=1e-12, atol=1e-14)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14), last, carry)


def test_flax_rnn_runs_the_cell(cell):
    inputs = normal(2, TIME, BATCH, FEATURES)
    np.testing.assert_allclose(nnx.RNN(cell, time_major=True)(inputs), unroll(cell, inputs)[1], rtol=1e-12, atol=1e-14)


@few_cells
def test_two_halves_make_the_whole(cell):
    _, inputs, carry, eps = arguments(cell)
    whole_carry, whole = unroll(cell, inputs, carry, MASK, eps)
    half, first = unroll(cell, inputs[:2], carry, MASK[:2], jax.tree.map(lambda e: e[:2], eps))
    last, second = unroll(cell, inputs[2:], half, MASK[2:], jax.tree.map(lambda e: e[2:], eps))
    np.testing.assert_allclose(jnp.concatenate([first, second]), whole, rtol=1e-12, atol=1e-14)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-14), last, whole_carry)


@few_cells
def test_padded_steps_change_nothing(cell):
    """Values and gradients equal those of the sequence without padding, whatever the padding contains."""
    params, inputs, carry, _ = arguments(cell)
    real, steps = MASK[:, 2], np.flatnonzero(MASK[:, 2])
    one, start = inputs[:, 2:], jax.tree.map(lambda s: s[2:], carry)
    graphdef, _, constants = nnx.split(cell, nnx.Param, ...)

    def loss(params, inputs, mask):
        last, outputs = unroll(nnx.merge(graphdef, params, constants), inputs, start, mask)
        real_outputs = outputs if mask is None else outputs[steps]
        return jnp.sum(jnp.sin(real_outputs)) + sum(jnp.sum(jnp.cos(state)) for state in last), (last, real_outputs)

    run = jax.jit(jax.value_and_grad(loss, (0, 1), has_aux=True))
    (_, values), (dparams, dinputs) = run(params, jnp.where(real[:, None, None], one, 1e3), real[:, None])
    (_, values_without), (dparams_without, dinputs_without) = run(params, one[real], None)
    assert not dinputs[~real].any()
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12),
        (values, dparams, dinputs[real]),
        (values_without, dparams_without, dinputs_without),
    )


def same_as_zero(cell, padding):
    """Returns whether padding with `padding` gives the same values and gradients as padding with zeros."""
    graphdef, params, constants = nnx.split(cell, nnx.Param, ...)
    inputs, carry = normal(2, TIME, BATCH, FEATURES), cell.initialize_carry((BATCH, FEATURES), nnx.Rngs(0))

    def loss(params, inputs):
        last, outputs = unroll(nnx.merge(graphdef, params, constants), inputs, carry, MASK)
        return jnp.sum(jnp.sin(outputs)) + sum(jnp.sum(jnp.cos(state)) for state in jax.tree.leaves(last))

    run = jax.jit(jax.value_and_grad(loss, (0, 1)))
    found, expected = (run(params, jnp.where(MASK[..., None], inputs, value)) for value in (padding, 0.0))
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(expected))
    return all(map(np.array_equal, jax.tree.leaves(found), jax.tree.leaves(expected)))


def test_padding_that_is_no_number_does_not_reach_the_gradient(cell):
    assert same_as_zero(cell, jnp.nan)


@pytest.mark.parametrize("padding", [jnp.nan, jnp.inf])
@pytest.mark.parametrize("make", [LSTM, nnx.GRUCell, nnx.OptimizedLSTMCell])
def test_nor_in_cells_of_flax(make, padding):
    cell = make(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    assert same_as_zero(cell, padding)


@few_cells
@pytest.mark.parametrize("every", [2, 5, 7])
def test_kept_or_computed_again_the_gradient_is_the_same(cell, every):
    """TIME is 5, so this covers chunks that do not divide it, one chunk, and a chunk longer than the sequence."""
    for run in (unroll, plain_unroll):
        whole, chunks = (
            jax.jit(jax.value_and_grad(as_function(cell, MASK, run, remat_every=n), (0, 1, 2, 3)))(*arguments(cell))
            for n in (None, every)
        )
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13), whole, chunks)


@pytest.mark.parametrize("run", [unroll, plain_unroll])
def test_computing_again_saves_memory(run):
    cell = LSTM(FEATURES, 16, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    inputs = jnp.zeros((400, BATCH, FEATURES), jnp.float64)
    graphdef, params = nnx.split(cell)

    def temporary(every):
        def loss(params):
            cell = nnx.merge(graphdef, params)
            carry = cell.initialize_carry(inputs.shape[1:])
            return jnp.sum(run(cell, inputs, carry, last_only=True, remat_every=every)[1])

        return jax.jit(jax.grad(loss)).lower(params).compile().memory_analysis().temp_size_in_bytes

    assert temporary(20) < temporary(None) / 5


@pytest.mark.parametrize("length", [18, 23])
def test_chunks_of_the_gradient_make_the_whole(cell, length, monkeypatch):
    """With a tiny cache, the chunks have 9 and 9 steps, or 10, 10 and 3."""
    monkeypatch.setattr(importlib.import_module("rnnbench.cells.gated_scan"), "CACHE_BYTES", 1)
    params, _, carry, _ = arguments(cell)
    mask = jax.random.bernoulli(jax.random.key(1), 0.8, (length, BATCH))
    given = (params, normal(2, length, BATCH, FEATURES), carry, perturbation(cell, length))
    found, expected = (
        jax.jit(jax.value_and_grad(as_function(cell, mask, run), (0, 1, 2, 3)))(*given)
        for run in (unroll, plain_unroll)
    )
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-11), found, expected)


def test_the_gates_gradients_do_not_stay_for_the_whole_sequence(monkeypatch):
    cell = LSTM(FEATURES, 16, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    graphdef, params = nnx.split(cell)

    def temporary(cache):
        monkeypatch.setattr(importlib.import_module("rnnbench.cells.gated_scan"), "CACHE_BYTES", cache)
        inputs = jnp.zeros((400, BATCH, FEATURES), jnp.float64)
        loss = jax.jit(jax.grad(lambda params: jnp.sum(unroll(nnx.merge(graphdef, params), inputs, last_only=True)[1])))
        return loss.lower(params).compile().memory_analysis().temp_size_in_bytes

    gates = 400 * BATCH * 4 * 16 * 8
    assert temporary(gates) - temporary(gates // 40) > 0.9 * gates


@pytest.mark.parametrize(
    ("make", "stored"),
    [
        (VanillaRNN, 3),  # the gate, the state and the output
        (LSTM, 8),  # four gates, two states, the output and tanh(c)
        (GRU, 6),  # three gates, the state, the output and the candidate's h U
    ],
)
def test_the_gradient_stores_no_array_that_is_cheap_to_compute(make, stored):
    """Otherwise a primitive is missing in `_CHEAP`: a new JAX may write a derivative in another way."""
    cell = make(FEATURES, HIDDEN, rngs=nnx.Rngs(0), param_dtype=jnp.float64)
    graphdef, params = nnx.split(cell)
    gradient = jax.grad(lambda params, x: jnp.sum(unroll(nnx.merge(graphdef, params), x)[1]))
    forward = next(scans(jax.make_jaxpr(gradient)(params, normal(2, TIME, BATCH, FEATURES)).jaxpr))
    assert sum(output.aval.shape[:1] == (TIME,) for output in forward.outvars) == stored


def scans(jaxpr):
    """Yields the scans of a program, also those within its functions, in their order."""
    for equation in jaxpr.eqns:
        if equation.primitive.name == "scan":
            yield equation
        else:
            for inner in equation.params.values():
                if isinstance(inner, ClosedJaxpr):
                    yield from scans(inner.jaxpr)


@few_cells
@pytest.mark.parametrize("every", [None, 2])
def test_the_last_output_alone(cell, every):
    for run in (unroll, plain_unroll):
        values = [
            jax.jit(jax.value_and_grad(as_function(cell, MASK, function), (0, 1, 2, 3)))(*arguments(cell))
            for function in (
                lambda *given, run=run: run(*given, last_only=True, remat_every=every),
                lambda *given, run=run: (lambda last, outputs: (last, outputs[-1]))(*run(*given)),
            )
        ]
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-13), *values)


@few_cells
def test_padded_steps_repeat_the_last_output(cell):
    _, inputs, carry, _ = arguments(cell)
    for run in (unroll, plain_unroll):
        last, outputs = run(cell, inputs, carry, MASK)
        np.testing.assert_array_equal(outputs[3:, 1], outputs[[2, 2], 1])
        np.testing.assert_array_equal(outputs[0, 2], carry[0][2])
        np.testing.assert_array_equal(last[0][1], outputs[2, 1])


def test_output_does_not_depend_on_later_inputs(cell):
    _, inputs, carry, _ = arguments(cell)
    jacobian = jax.jit(jax.jacrev(lambda x: jnp.sum(unroll(cell, x, carry)[1], axis=(1, 2))))(inputs)
    size = np.abs(jacobian).sum((2, 3))  # (time of the output, time of the input)
    assert not size[np.triu_indices(TIME, 1)].any()
    assert size[np.tril_indices(TIME)].all()


@few_cells
def test_examples_of_a_batch_do_not_mix(cell):
    _, inputs, carry, _ = arguments(cell)
    _, outputs = unroll(cell, inputs, carry)
    _, alone = unroll(cell, inputs[:, 1:2], jax.tree.map(lambda s: s[1:2], carry))
    np.testing.assert_allclose(alone, outputs[:, 1:2], rtol=1e-12, atol=1e-14)


@few_cells
def test_any_length_follows_any_other(cell):
    _, inputs, carry, _ = arguments(cell)
    _, outputs = unroll(cell, inputs, carry)
    for length in (1, 3):
        np.testing.assert_allclose(unroll(cell, inputs[:length], carry)[1], outputs[:length], rtol=1e-12, atol=1e-14)


@few_cells
def test_a_population_under_vmap_equals_its_members(cell):
    params, *others = arguments(cell)
    gradient = jax.grad(as_function(cell, MASK), (0, 2))
    population = jax.tree.map(lambda p: jnp.stack([p, 0.5 * p]), params)
    together = jax.jit(jax.vmap(gradient, (0, None, None, None)))(population, *others)
    one_by_one = jax.jit(lambda *given: jax.lax.map(lambda member: gradient(member, *given), population))(*others)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-10, atol=1e-12), together, one_by_one)


@pytest.mark.parametrize("make", [VanillaRNN, LSTM, GRU])
def test_half_precision_stays(make):
    cell = make(FEATURES, HIDDEN, param_dtype=jnp.bfloat16, rngs=nnx.Rngs(0))
    inputs = normal(2, TIME, BATCH, FEATURES).astype(jnp.bfloat16)
    graphdef, params = nnx.split(cell)
    run = jax.value_and_grad(lambda p: jnp.sum(unroll(nnx.merge(graphdef, p), inputs, mask=MASK)[1]))
    value, gradient = jax.jit(run)(params)
    assert {leaf.dtype for leaf in jax.tree.leaves((value, gradient))} == {jnp.bfloat16.dtype}
    assert all(jnp.any(leaf) for leaf in jax.tree.leaves(gradient))


@pytest.mark.parametrize("scale", [0.8, 1.1])
def test_gradient_of_a_linear_network_is_a_power_of_its_kernel(scale):
    """L = v h_T gives dL/dh_t = v (U^T)^(T - t). With s times an orthogonal U, each step scales it by s."""
    cell = VanillaRNN(FEATURES, HIDDEN, activation="identity", param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    cell.recurrent_kernel[...] = kernel = scale * cell.recurrent_kernel[...] * jnp.array([[1.0, 1, 1, 0.5]])
    inputs, v = normal(2, TIME, BATCH, FEATURES), normal(5, BATCH, HIDDEN)
    gradient = jax.grad(lambda eps: jnp.sum(v * unroll(cell, inputs, perturbation=(eps,))[1][-1]))
    found = gradient(jnp.zeros((TIME, BATCH, HIDDEN)))
    for t in range(TIME):
        expected = v @ np.linalg.matrix_power(kernel.T, TIME - 1 - t)
        np.testing.assert_allclose(found[t], expected, rtol=1e-12)


class Doubled(LSTM):
    """An LSTM that overrides the whole step."""

    def __call__(self, carry, inputs):
        carry, output = super().__call__(carry, inputs)
        return carry, 2 * output


def test_a_cell_with_a_call_of_its_own_takes_the_plain_scan():
    inputs, mask = normal(2, TIME, BATCH, FEATURES), MASK
    ours, doubled = (make(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0)) for make in (LSTM, Doubled))
    np.testing.assert_allclose(unroll(doubled, inputs, mask=mask)[1], 2 * unroll(ours, inputs, mask=mask)[1])


class ReadsFromCell(nnx.RNNCellBase):
    """A cell without `GatedCell`: its carry is a dict, and its output is not a state."""

    def __init__(self, hidden):
        self.kernel = nnx.Param(jnp.eye(hidden))

    def __call__(self, carry, inputs):
        fast = sigmoid(inputs + carry["slow"] @ self.kernel[...])
        new = {"fast": fast, "slow": 0.5 * carry["slow"] + fast}
        return new, fast + new["slow"]

    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        return {name: jnp.zeros(input_shape) for name in ("fast", "slow")}


@pytest.mark.parametrize("every", [None, 1, 2])
def test_any_flax_cell_unrolls(every):
    inputs, cell = normal(2, TIME, BATCH, HIDDEN), ReadsFromCell(HIDDEN)
    last, outputs = unroll(cell, inputs, mask=MASK, remat_every=every)
    carry, output = cell.initialize_carry((BATCH, HIDDEN)), jnp.zeros((BATCH, HIDDEN))
    for x, mask, y in zip(inputs, MASK, outputs, strict=True):
        carry, output = jax.tree.map(
            lambda new, old, mask=mask: jnp.where(mask[:, None], new, old), cell(carry, x), (carry, output)
        )
        np.testing.assert_allclose(y, output, rtol=1e-12)
    jax.tree.map(np.testing.assert_array_equal, last, carry)
