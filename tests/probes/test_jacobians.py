"""Jacobians of linear networks, whose spectra are known, and of others by brute force."""

# ruff: noqa: RUF012 (authors write `gates` as a plain class attribute)

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, Gate, GatedCell, VanillaRNN, sigmoid, tanh
from rnnbench.probes import jacobians
from rnnbench.probes.jacobians import lyapunov_exponents, singular_values, spectral_radius, square_kernels

LENGTH, FEATURES, HIDDEN = 12, 2, 5

INPUTS = jax.random.normal(jax.random.key(1), (LENGTH, FEATURES))


def linear(kernel_init, hidden=HIDDEN):
    return VanillaRNN(FEATURES, hidden, activation="identity", recurrent_kernel_init=kernel_init, rngs=nnx.Rngs(0))


def diagonal(*values):
    return lambda key, shape, dtype: jnp.diag(jnp.array(values, dtype))


class Narrow(GatedCell):
    """A cell whose c is wider than h, and whose h comes from the first units of c. Only one of two gates sees h."""

    gates = {"write": Gate(tanh), "keep": Gate(sigmoid, recurrent=False)}
    states = ("h", "c")

    @property
    def gate_features(self):
        return self.hidden_features + 2

    def step(self, gates, h, c):
        c = gates.keep * c + gates.write
        return jnp.tanh(c[..., : self.hidden_features]), c


@pytest.mark.parametrize("lag", [1, 3, 7])
def test_singular_values_of_a_linear_network_are_those_of_powers_of_its_kernel(lag):
    cell = linear(jax.nn.initializers.normal(0.5))
    power = np.linalg.matrix_power(np.asarray(cell.recurrent_kernel[...], np.float64), lag)
    np.testing.assert_allclose(
        jax.jit(singular_values, static_argnums=2)(cell, INPUTS, lag),
        np.linalg.svd(power, compute_uv=False),
        rtol=1e-4,
        atol=1e-6,
    )


@pytest.mark.parametrize(("make_cell", "names"), [(LSTM, ("h", "c")), (GRU, ("h",)), (nnx.LSTMCell, ("c", "h"))])
def test_singular_values_are_those_of_finite_differences(make_cell, names):
    lag = 4
    with jax.enable_x64(True):
        cell = make_cell(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        cell = nnx.merge(nnx.graphdef(cell), jax.tree.map(lambda x: x.astype(jnp.float64), nnx.state(cell)))
        inputs = INPUTS.astype(jnp.float64)

        def run(carry, xs):
            for x in xs:
                carry, _ = cell(carry, x)
            return carry

        zero = jnp.zeros(HIDDEN, jnp.float64)
        start = run((zero,) * len(names), inputs[:-lag])
        at_h = names.index("h")

        def h_after(h):
            moved = tuple(h if i == at_h else state for i, state in enumerate(start))
            return run(moved, inputs[-lag:])[at_h]

        steps = 1e-6 * jnp.eye(HIDDEN)
        jacobian = np.stack([(h_after(start[at_h] + e) - h_after(start[at_h] - e)) / 2e-6 for e in steps], axis=1)
        found = singular_values(cell, inputs, lag)
    np.testing.assert_allclose(found, np.linalg.svd(jacobian, compute_uv=False), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize(
    ("states", "rows"), [(("h",), slice(0, 5)), (("c",), slice(5, 12)), (("h", "c"), slice(0, 12))]
)
def test_states_may_differ_in_width(states, rows):
    with jax.enable_x64(True):
        cell = Narrow(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
        inputs, lag = INPUTS.astype(jnp.float64), 3

        def run(vector, xs):
            carry = (vector[:HIDDEN], vector[HIDDEN:])
            for x in xs:
                carry, _ = cell(carry, x)
            return jnp.concatenate(carry)

        start = run(jnp.zeros(2 * HIDDEN + 2, jnp.float64), inputs[:-lag])
        jacobian = jax.jacobian(run)(start, inputs[-lag:])[rows, rows]
        found = singular_values(cell, inputs, lag, states=states)
        exponents = lyapunov_exponents(cell, inputs)
    np.testing.assert_allclose(found, np.linalg.svd(jacobian, compute_uv=False), rtol=1e-8, atol=1e-12)
    assert exponents.shape == (2 * HIDDEN + 2,)


def test_all_states_together_hold_what_one_alone_does_not():
    """A forget gate near 1 preserves c. The Jacobian of all states has singular values near 1; that of h has none."""
    cell = LSTM(FEATURES, HIDDEN, forget_bias=20.0, rngs=nnx.Rngs(0))
    both = singular_values(cell, INPUTS, 10, states=("h", "c"))
    assert len(both) == 2 * HIDDEN
    assert both[0] > 0.9
    assert singular_values(cell, INPUTS, 10)[0] < 0.5


def test_random_directions_find_the_largest_singular_values(monkeypatch):
    cell = GRU(FEATURES, 40, rngs=nnx.Rngs(0))
    exact = singular_values(cell, INPUTS, 3)
    monkeypatch.setattr(jacobians, "EXACT_UP_TO", 39)
    found = singular_values(cell, INPUTS, 3, count=6)
    np.testing.assert_allclose(found, exact[:6], rtol=1e-3)


def test_random_directions_are_exact_where_they_span_everything():
    matrix = np.random.default_rng(0).normal(size=(9, 7)).astype(np.float32)
    found = jacobians.randomized_singular_values(lambda v: matrix @ v, lambda u: matrix.T @ u, 7, 7, jax.random.key(0))
    np.testing.assert_allclose(found, np.linalg.svd(matrix, compute_uv=False), rtol=1e-4)


def test_lyapunov_exponents_of_a_linear_network_are_logarithms_of_its_eigenvalues():
    values = (1.1, 0.9, 0.5, 0.2, 0.05)
    exponents = jax.jit(lyapunov_exponents)(linear(diagonal(*values)), INPUTS)
    np.testing.assert_allclose(exponents, np.log(values), rtol=1e-4)


def test_after_a_warm_up_they_are_those_of_any_linear_network():
    """U = P diag P^-1, so QR needs some steps before its directions are right."""
    values = np.array([1.2, 0.7, 0.4, 0.1])
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0] + 0.2 * np.eye(4)
    kernel = basis @ np.diag(values) @ np.linalg.inv(basis)
    cell = linear(lambda key, shape, dtype: jnp.asarray(kernel, dtype), hidden=4)
    exponents = lyapunov_exponents(cell, jnp.zeros((60, FEATURES)), warmup=30, count=3)
    np.testing.assert_allclose(exponents, np.log(values[:3]), atol=1e-3)


def test_the_largest_lyapunov_exponent_is_the_rate_of_a_small_change():
    with jax.enable_x64(True):
        cell = VanillaRNN(
            FEATURES,
            HIDDEN,
            recurrent_kernel_init=jax.nn.initializers.normal(0.6),
            param_dtype=jnp.float64,
            rngs=nnx.Rngs(1),
        )
        inputs = 0.1 * jnp.ones((400, FEATURES), jnp.float64)
        states, changed = jnp.zeros(HIDDEN, jnp.float64), 1e-8 * jnp.ones(HIDDEN, jnp.float64)
        for x in inputs[:20]:  # past the transient from the initial state
            (states,), _ = cell((states,), x)
        first = changed
        (a,), (b,) = (states,), (states + first,)
        logs = []
        for x in inputs[20:220]:
            ((a,), _), ((b,), _) = cell((a,), x), cell((b,), x)
            size = jnp.linalg.norm(b - a)
            logs.append(float(jnp.log(size / jnp.linalg.norm(first))))
            first = (b - a) / size * 1e-8
            b = a + first
        found = lyapunov_exponents(cell, inputs, warmup=100, count=1)
    np.testing.assert_allclose(found[0], np.mean(logs[100:]), atol=2e-2)


def test_spectral_radius_of_every_gate():
    cell = GRU(FEATURES, 2, rngs=nnx.Rngs(0))
    kernel = jnp.concatenate([jnp.diag(jnp.array(d)) for d in ([0.5, -0.7], [0.1, 0.2], [1.5, 0.0])], axis=1)
    cell.recurrent_kernel[...] = kernel
    radii = {name: spectral_radius(np.asarray(kernel)) for name, kernel in square_kernels(cell).items()}
    assert radii == pytest.approx({"reset": 0.7, "update": 0.2, "candidate": 1.5})
    assert square_kernels(nnx.GRUCell(FEATURES, 2, rngs=nnx.Rngs(0))) == {}


class SeesInputAlone(GatedCell):
    gates = {"keep": Gate(sigmoid, recurrent=False), "write": Gate(tanh)}

    def step(self, gates, h):
        return gates.keep * h + gates.write


def test_a_gate_without_a_recurrent_kernel_has_no_spectral_radius():
    cell = SeesInputAlone(FEATURES, 2, recurrent_kernel_init=diagonal(0.5, -0.7), rngs=nnx.Rngs(0))
    assert {name: spectral_radius(np.asarray(U)) for name, U in square_kernels(cell).items()} == {
        "write": pytest.approx(0.7)
    }
    assert square_kernels(Narrow(FEATURES, 2, rngs=nnx.Rngs(0))) == {}  # U maps h to more units than h has


def test_what_does_not_exist_is_refused():
    cell = linear(diagonal(*[0.5] * HIDDEN))
    with pytest.raises(ValueError, match="lag: expected 1 to the 12 steps"):
        singular_values(cell, INPUTS, 13)
    with pytest.raises(ValueError, match="states: expected some of h, got c"):
        singular_values(cell, INPUTS, 1, states=("h", "c"))
    with pytest.raises(ValueError, match="warmup: expected 0 or more and less than the 12 steps, got 12"):
        lyapunov_exponents(cell, INPUTS, warmup=12)
