"""Cells that are linear in their state: their equations, their known properties, and both ways to unroll them."""

# ruff: noqa: RUF012 (authors write `gates` as a plain class attribute)

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench import cells
from rnnbench.cells import Gate, LinearCell, plain_unroll, sigmoid, unroll
from rnnbench.cells.linear import linear_recurrence
from rnnbench.model import first_state
from tests.cells.test_equations import BATCH, FEATURES, HIDDEN, TIME, Arrays, arrays, moved

CELLS: dict[str, Callable[..., LinearCell]] = {
    "min_gru": cells.MinGRU,
    "min_lstm": cells.MinLSTM,
    "sru": cells.SRU,
    "lru": cells.LRU,
    "s4d": partial(cells.S4D, order=3),
}

INPUTS = np.random.default_rng(0).normal(size=(TIME, BATCH, FEATURES))


def logistic(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def gelu(z: np.ndarray) -> np.ndarray:
    return 0.5 * z * (1 + np.tanh(np.sqrt(2 / np.pi) * (z + 0.044715 * z**3)))


def min_gru(p: Arrays, x: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    z = logistic(x @ p["W_update"] + p["b_update"])
    s = (1 - z) * s + z * (x @ p["W_candidate"] + p["b_candidate"])
    return s, s


def min_lstm(p: Arrays, x: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    f, i = (logistic(x @ p[f"W_{gate}"] + p[f"b_{gate}"]) for gate in ("forget", "input"))
    s = (f * s + i * (x @ p["W_candidate"] + p["b_candidate"])) / (f + i)
    return s, s


def sru(p: Arrays, x: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    f, r = (logistic(x @ p[f"W_{gate}"] + p[f"b_{gate}"]) for gate in ("forget", "reset"))
    s = f * s + (1 - f) * (x @ p["W_candidate"] + p["b_candidate"])
    return r * np.tanh(s) + (1 - r) * (x @ p["W_skip"] + p["b_skip"]), s


def lru(p: Arrays, x: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    eigenvalues = np.exp(-np.exp(p["nu"]) + 1j * np.exp(p["theta"]))
    real, imaginary = (x @ p[f"W_{gate}"] + p[f"b_{gate}"] for gate in ("real", "imaginary"))
    s = eigenvalues * s + np.exp(p["log_gamma"]) * (real + 1j * imaginary)
    c = p["readout"][:HIDDEN] - 1j * p["readout"][HIDDEN:]
    return gelu((s @ c).real + x @ p["W_skip"] + p["b_skip"]), s


def s4d(p: Arrays, x: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    rate, dt = -np.exp(p["alpha"]) + 1j * p["omega"], np.exp(p["log_dt"])[:, None]
    u = x @ p["W_channel"] + p["b_channel"]
    s = np.exp(dt * rate) * s + (np.exp(dt * rate) - 1) / rate * u[..., None]
    c = p["readout"][0] + 1j * p["readout"][1]
    return gelu(2 * (c * s).sum(-1).real + p["skip"] * u), s


STEPS = {"min_gru": min_gru, "min_lstm": min_lstm, "sru": sru, "lru": lru, "s4d": s4d}


@pytest.mark.parametrize("method", ["sequential", "parallel"])
@pytest.mark.parametrize("name", CELLS)
def test_a_cell_follows_its_equations(name: str, method: Any) -> None:
    cell = moved(CELLS[name])
    state: Any = np.zeros((BATCH, HIDDEN, 3) if name == "s4d" else (BATCH, HIDDEN))
    expected = []
    for x in INPUTS:
        output, state = STEPS[name](arrays(cell), x, state)
        expected.append(output)
    np.testing.assert_allclose(unroll(cell, jnp.asarray(INPUTS), method=method)[1], expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", CELLS)
def test_all_unrolls_have_the_same_values_and_gradients(name: str) -> None:
    """Also with padding at any place, states before the first step, perturbations and rematerialisation."""
    cell = moved(CELLS[name])
    graphdef, params = nnx.split(cell)
    draw = np.random.default_rng(1)
    carry = tuple(jnp.asarray(draw.normal(size=state.shape)) for state in cell.initialize_carry((BATCH, FEATURES)))
    eps = tuple(jnp.asarray(draw.normal(size=(TIME, *state.shape))) for state in carry)
    mask = jnp.asarray([[True] * TIME, [False, *[True] * (TIME - 5), False, True, False, False]]).T

    def run(function: Callable[..., Any], **options: Any) -> Any:
        def total(params: Any, inputs: Any, carry: Any, eps: Any) -> Any:
            last, outputs = function(nnx.merge(graphdef, params), inputs, carry, mask, eps, **options)
            return sum(jnp.sum(jnp.cos(leaf)) for leaf in (*last, outputs)), (last, outputs)

        return jax.value_and_grad(total, (0, 1, 2, 3), has_aux=True)(params, jnp.asarray(INPUTS), carry, eps)

    expected = run(plain_unroll)
    for options in ({"method": "sequential"}, {"method": "parallel"}, {"method": "parallel", "remat_every": 4}):
        jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-7, atol=1e-9), run(unroll, **options), expected)
    (_, (last, outputs)), _ = run(unroll, last_only=True)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-9), (last, outputs), (expected[0][1][0], last[0]))


def test_a_recurrence_of_ones_counts() -> None:
    ones = jnp.ones((5, 1, 1))
    for method in ("sequential", "parallel"):
        np.testing.assert_array_equal(linear_recurrence(ones, ones, jnp.zeros((1, 1)), method).ravel(), range(1, 6))
        halves = linear_recurrence(0.5 * ones, 0 * ones, jnp.ones((1, 1)), method)
        np.testing.assert_array_equal(halves.ravel(), [0.5**n for n in range(1, 6)])


def test_the_eigenvalues_of_the_lru_start_on_a_ring_and_stay_inside_the_circle() -> None:
    make = partial(cells.LRU, r_min=0.6, r_max=0.8, max_phase=1.0)
    cell = make(FEATURES, 1000, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    moduli, angles = np.abs(cell.eigenvalues), np.angle(cell.eigenvalues)
    assert 0.6 <= moduli.min() < 0.61
    assert 0.79 < moduli.max() <= 0.8
    assert 0 < angles.min() < angles.max() <= 1
    # Uniform on the ring: the squared modulus is uniform, so half of it lies below its middle.
    assert np.mean(moduli**2 < (0.36 + 0.64) / 2) == pytest.approx(0.5, abs=0.05)
    assert np.abs(moved(make, 1000).eigenvalues).max() < 1, "whatever the optimizer does to nu"


def impulse(cell: LinearCell, steps: int) -> np.ndarray:
    """Returns the state, as complex numbers, after an input of 1 in the first feature at the first step."""
    inputs = jnp.zeros((steps, 1, FEATURES)).at[0, 0, 0].set(1.0)
    states = [cell.initialize_carry((1, FEATURES))]
    for x in inputs:
        states.append(cell(states[-1], x)[0])
    return np.stack([np.asarray(cell.as_state(state[-1]))[0] for state in states[1:]])


def test_the_readout_of_the_lru_has_the_variance_of_its_width() -> None:
    """As in the paper's appendix, real and imaginary parts of C have the variance 1 / hidden."""
    cell = cells.LRU(FEATURES, 100, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(np.std(cell.readout[...].reshape(2, -1), axis=1), 0.1, rtol=0.03)


def test_an_impulse_in_the_lru_fades_by_its_eigenvalues() -> None:
    cell = cells.LRU(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    response = impulse(cell, 30)
    np.testing.assert_allclose(response, response[0] * np.asarray(cell.eigenvalues) ** np.arange(30)[:, None])


def test_s4d_solves_its_differential_equation() -> None:
    """After an input of 1 for a time dt: s(t) = (exp(A dt) - 1) / A exp(A (t - dt)), for the W of its channel."""
    cell = cells.S4D(FEATURES, HIDDEN, order=3, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    rate, dt = -0.5 + 1j * np.pi * np.arange(3), np.exp(np.asarray(cell.log_dt[...]))[:, None]
    assert 0.001 <= dt.min() < dt.max() <= 0.1
    for k, state in enumerate(impulse(cell, 20)):
        expected = (np.exp(rate * dt) - 1) / rate * np.exp(rate * dt * k) * np.asarray(cell.kernel[0])[:, None]
        np.testing.assert_allclose(state.reshape(HIDDEN, 3), expected, rtol=1e-10)


@pytest.mark.parametrize("make", [cells.MinGRU, cells.MinLSTM])
def test_the_minimal_cells_average_their_candidates(make: Callable[..., LinearCell]) -> None:
    """Both factors add up to 1, so a state that starts between the candidates stays between them."""
    cell = moved(make)
    start = jnp.zeros((BATCH, HIDDEN))
    candidates = np.stack([cell.observe((start,), x)[1]["candidate"] for x in jnp.asarray(INPUTS)])
    outputs = np.asarray(unroll(cell, jnp.asarray(INPUTS), (jnp.asarray(candidates[0]),))[1])
    assert (outputs >= candidates.min(0) - 1e-12).all()
    assert (outputs <= candidates.max(0) + 1e-12).all()


def test_the_min_lstm_has_a_gradient_where_both_gates_are_closed() -> None:
    cell = cells.MinLSTM(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
    cell.bias[...] = jnp.repeat(jnp.array([-60.0, -60.0, 0.0], jnp.float32), HIDDEN)
    graphdef, params = nnx.split(cell)

    def total(params: Any) -> jax.Array:
        return jnp.sum(unroll(nnx.merge(graphdef, params), jnp.asarray(INPUTS, jnp.float32))[1])

    leaves = jax.tree.leaves(jax.value_and_grad(total)(params))
    assert all(jnp.isfinite(leaf).all() for leaf in leaves)


def test_the_state_that_is_carried_represents_a_cell() -> None:
    """No step depends on the last h of an SRU, so dh_T/dh_0 is 0 and says nothing."""
    made = {name: CELLS[name](FEATURES, HIDDEN, rngs=nnx.Rngs(0)) for name in ("sru", "lru", "min_gru")}
    assert {name: first_state(cell) for name, cell in made.items()} == {"sru": "c", "lru": "c", "min_gru": "h"}
    assert first_state(cells.LSTM(FEATURES, HIDDEN, rngs=nnx.Rngs(0))) == "h"


class Seeing(LinearCell):
    gates = {"keep": Gate(sigmoid)}

    def recurrence(self, gates: Any) -> Any:
        return gates.keep, gates.keep


def test_what_is_not_linear_is_refused() -> None:
    with pytest.raises(TypeError, match=r"Seeing\.gates: expected Gate\(activation, recurrent=False\) for 'keep'"):
        Seeing(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="unroll: expected sequential for GRU, got parallel"):
        unroll(cells.GRU(FEATURES, HIDDEN, rngs=nnx.Rngs(0)), jnp.asarray(INPUTS, jnp.float32), method="parallel")
    with pytest.raises(ValueError, match="order: expected 1 or more, got 0"):
        cells.S4D(FEATURES, HIDDEN, order=0, rngs=nnx.Rngs(0))


@pytest.mark.parametrize(
    ("make", "options", "message"),
    [
        (cells.LRU, {"r_max": 1.0}, r"r_max: expected 0 <= r_min < r_max < 1, got r_min 0\.9 and r_max 1\.0"),
        (cells.LRU, {"r_min": 0.8, "r_max": 0.7}, r"r_max: expected .*, got r_min 0\.8 and r_max 0\.7"),
        (cells.LRU, {"max_phase": 0.0}, r"max_phase: expected more than 0, got 0\.0"),
        (cells.S4D, {"dt_min": 0.2}, r"dt_max: expected 0 < dt_min <= dt_max, got dt_min 0\.2 and dt_max 0\.1"),
        (
            cells.LRU,
            {"param_dtype": jnp.bfloat16},
            "param_dtype: expected float32 or float64, .* complex, got bfloat16",
        ),
    ],
)
def test_numbers_that_give_no_state_are_refused(make: type, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(FEATURES, HIDDEN, rngs=nnx.Rngs(0), **options)
