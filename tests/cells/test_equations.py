"""Compares each cell with its paper's equations, written as a loop in numpy, and with its own known property."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import scipy.linalg
from flax import nnx

from rnnbench import cells
from rnnbench.cells import GatedCell, unroll
from rnnbench.cells.layer_norm_lstm import EPSILON
from rnnbench.model import state_names
from tests.helpers import optax_promotion

TIME, BATCH, FEATURES, HIDDEN = 9, 2, 3, 4

Arrays = Mapping[str, Any]
"""For each gate `W_gate`, `b_gate` and `U_gate`, and the cell's other parameters and numbers by their own names."""


def sigmoid(z: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-z))


def norm(z: np.ndarray) -> np.ndarray:
    return (z - z.mean(-1, keepdims=True)) / np.sqrt(z.var(-1, keepdims=True) + EPSILON)


def janet(p: Arrays, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    s = x @ p["W_forget"] + h @ p["U_forget"] + p["b_forget"]
    candidate = np.tanh(x @ p["W_candidate"] + h @ p["U_candidate"] + p["b_candidate"])
    return (sigmoid(s) * h + (1 - sigmoid(s - p["beta"])) * candidate,)


def mgu(p: Arrays, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    f = sigmoid(x @ p["W_forget"] + h @ p["U_forget"] + p["b_forget"])
    return ((1 - f) * h + f * np.tanh(x @ p["W_candidate"] + (f * h) @ p["U_candidate"] + p["b_candidate"]),)


def indrnn(p: Arrays, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    return (np.maximum(x @ p["W_hidden"] + p["recurrent_weight"] * h + p["b_hidden"], 0),)


def leaky(p: Arrays, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    a, z = p["leak"], x @ p["W_candidate"] + h @ p["U_candidate"] + p["b_candidate"]
    return ((1 - a) * h + a * np.tanh(z),)


def scrn(p: Arrays, x: np.ndarray, h: np.ndarray, s: np.ndarray) -> tuple[np.ndarray, ...]:
    s = p["alpha"] * s + (1 - p["alpha"]) * (x @ p["W_context"] + p["b_context"])
    return sigmoid(x @ p["W_hidden"] + h @ p["U_hidden"] + s @ p["U_context"] + p["b_hidden"]), s


def slstm(
    p: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray, n: np.ndarray, m: np.ndarray, *, forget: Callable
) -> tuple[np.ndarray, ...]:
    """The plain form, which has no stabiliser."""
    i, f, g, o = (
        x @ p[f"W_{gate}"] + h @ p[f"U_{gate}"] + p[f"b_{gate}"] for gate in ("input", "forget", "candidate", "output")
    )
    c, n = forget(f) * c + np.exp(i) * np.tanh(g), forget(f) * n + np.exp(i)
    return sigmoid(o) * c / n, c, n, m


def projected(p: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    i, f, o = (
        sigmoid(x @ p[f"W_{gate}"] + h @ p[f"U_{gate}"] + p[f"b_{gate}"]) for gate in ("input", "forget", "output")
    )
    c = f * c + i * np.tanh(x @ p["W_candidate"] + h @ p["U_candidate"] + p["b_candidate"])
    return (o * np.tanh(c)) @ p["projection"], c


def lem(p: Arrays, x: np.ndarray, h: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, ...]:
    s, r = (p["dt"] * sigmoid(x @ p[f"W_{gate}"] + h @ p[f"U_{gate}"] + p[f"b_{gate}"]) for gate in ("slow", "fast"))
    z = (1 - s) * z + s * np.tanh(x @ p["W_memory"] + h @ p["U_memory"] + p["b_memory"])
    return (1 - r) * h + r * np.tanh(x @ p["W_candidate"] + z @ p["U_candidate"] + p["b_candidate"]), z


def layer_norm(p: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray) -> tuple[np.ndarray, ...]:
    i, f, g, o = (
        p["state_gain"][k] * norm(h @ p[f"U_{gate}"]) + p["input_gain"][k] * norm(x @ p[f"W_{gate}"]) + p["shift"][k]
        for k, gate in enumerate(("input", "forget", "candidate", "output"))
    )
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(p["cell_gain"] * norm(c) + p["cell_shift"]), c


def cornn(p: Arrays, x: np.ndarray, h: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, ...]:
    pulled = np.tanh(x @ p["W_force"] + h @ p["U_force"] + z @ p["velocity_kernel"] + p["b_force"])
    z = z + p["dt"] * (pulled - p["gamma"] * h - p["epsilon"] * z)
    return h + p["dt"] * z, z


def antisymmetric(p: Arrays, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    u = p["recurrent_kernel"] - p["recurrent_kernel"].T - p["gamma"] * np.eye(HIDDEN)
    return (h + p["epsilon"] * np.tanh(x @ p["W_change"] + h @ u + p["b_change"]),)


def exprnn(p: Arrays, x: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, ...]:
    z = x @ p["W_hidden"] + h @ scipy.linalg.expm(p["recurrent_kernel"] - p["recurrent_kernel"].T)
    return (np.sign(z) * np.maximum(np.abs(z) + p["threshold"], 0),)


def clockwork(p: Arrays, x: np.ndarray, h: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, ...]:
    """Units 0 and 1 have period 1, and units 2 and 3 have period 3."""
    u = p["recurrent_kernel"].copy()
    u[:2, 2:] = 0
    new = np.tanh(x @ p["W_candidate"] + h @ u + p["b_candidate"])
    due = np.array([True, True, *[t[0, 0] % 3 == 0] * 2])
    return np.where(due, new, h), t + 1


def variant(
    p: Arrays, x: np.ndarray, h: np.ndarray, c: np.ndarray, *, without: str = "", coupled: bool = False
) -> tuple[np.ndarray, ...]:
    def gate(name: str) -> Any:
        return 1 if name == without else sigmoid(x @ p[f"W_{name}"] + h @ p[f"U_{name}"] + p[f"b_{name}"])

    i = gate("input")
    f = 1 - i if coupled else gate("forget")
    c = f * c + i * np.tanh(x @ p["W_candidate"] + h @ p["U_candidate"] + p["b_candidate"])
    return gate("output") * (c if without == "tanh" else np.tanh(c)), c


CASES: dict[str, tuple[Callable[..., GatedCell], Callable[..., tuple[np.ndarray, ...]]]] = {
    "janet": (cells.JANET, janet),
    "mgu": (cells.MGU, mgu),
    "indrnn": (cells.IndRNN, indrnn),
    "leaky": (cells.LeakyRNN, leaky),
    "scrn": (partial(cells.SCRN, alpha=0.8), scrn),
    "slstm": (cells.SLSTM, partial(slstm, forget=sigmoid)),
    "slstm-exponential": (
        partial(cells.SLSTM, forget="exponential"),
        partial(slstm, forget=np.exp),
    ),
    "projected": (partial(cells.ProjectedLSTM, expansion=3), projected),
    "lem": (partial(cells.LEM, dt=0.7), lem),
    "layer-norm": (cells.LayerNormLSTM, layer_norm),
    "cornn": (cells.CoRNN, cornn),
    "antisymmetric": (cells.AntisymmetricRNN, antisymmetric),
    "exprnn": (cells.ExpRNN, exprnn),
    "clockwork": (partial(cells.ClockworkRNN, periods=(1, 3)), clockwork),
    "no-input": (partial(cells.LSTMVariant, input_gate=False), partial(variant, without="input")),
    "no-forget": (
        partial(cells.LSTMVariant, forget_gate="none"),
        partial(variant, without="forget"),
    ),
    "no-output": (
        partial(cells.LSTMVariant, output_gate=False),
        partial(variant, without="output"),
    ),
    "no-output-tanh": (
        partial(cells.LSTMVariant, output_activation=False),
        partial(variant, without="tanh"),
    ),
    "coupled": (
        partial(cells.LSTMVariant, forget_gate="coupled"),
        partial(variant, coupled=True),
    ),
}


def moved(make: Callable[..., GatedCell], hidden: int = HIDDEN) -> GatedCell:
    """Returns a cell in float64 with every parameter moved from its initial value."""
    cell = make(FEATURES, hidden, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    key = jax.random.key(1)
    shift = jax.tree.map(lambda p: 0.3 * jax.random.normal(key, p.shape, p.dtype), nnx.state(cell, nnx.Param))
    nnx.update(cell, jax.tree.map(jnp.add, nnx.state(cell, nnx.Param), shift))
    return cell


def arrays(cell: GatedCell) -> dict[str, np.ndarray]:
    """Returns a cell's parameters and numbers, those of gates by gate."""
    numbers = {name: value for name, value in vars(cell).items() if isinstance(value, float)}
    own = numbers | {name: np.asarray(value) for name, value in nnx.to_pure_dict(nnx.state(cell)).items()}
    for prefix, names, fused in (
        ("W", cell.blocks, own["kernel"]),
        ("U", cell.recurrent, own.get("recurrent_kernel")),
        ("b", cell.blocks, own.get("bias")),
    ):
        if fused is not None:
            own |= {f"{prefix}_{name}": part for name, part in zip(names, np.split(fused, len(names), -1), strict=True)}
    return own


@pytest.mark.parametrize("name", CASES)
def test_a_cell_follows_its_equations(name: str) -> None:
    make, step = CASES[name]
    cell = moved(make)
    inputs = np.random.default_rng(0).normal(size=(TIME, BATCH, FEATURES))
    states = tuple(np.zeros((BATCH, width)) for width in cell.state_features.values())
    expected = []
    for x in inputs:
        states = step(arrays(cell), x, *states)
        expected.append(states[0])
    np.testing.assert_allclose(unroll(cell, jnp.asarray(inputs))[1], expected, rtol=1e-9, atol=1e-11)


def test_the_fast_slow_lstm_is_three_lstms_in_a_row() -> None:
    cell = cells.FastSlowLSTM(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    inputs = np.random.default_rng(0).normal(size=(TIME, BATCH, FEATURES))
    first, slow, second = (arrays(own) for own in (cell.first, cell.slow, cell.second))
    h, c, s, d = (np.zeros((BATCH, HIDDEN)) for _ in range(4))
    expected = []
    for x in inputs:
        h, c = variant(first, x, h, c)
        s, d = variant(slow, h, s, d)
        h, c = variant(second, s, h, c)
        expected.append(h)
    carry, outputs = unroll(cell, jnp.asarray(inputs))
    np.testing.assert_allclose(outputs, expected, rtol=1e-9, atol=1e-11)
    np.testing.assert_allclose(carry, (h, c, s, d), rtol=1e-9, atol=1e-11)
    assert state_names(cell) == ("h", "c", "s", "d")


def test_the_stabiliser_of_the_slstm_bears_what_the_plain_exponential_does_not() -> None:
    cell = moved(cells.SLSTM)
    inputs = 2000 * jax.random.normal(jax.random.key(0), (TIME, BATCH, FEATURES), jnp.float64)

    def total(inputs: jax.Array) -> jax.Array:
        return jnp.sum(unroll(cell, inputs)[1] ** 2)

    value, gradient = jax.value_and_grad(total)(inputs)
    assert jnp.isfinite(value)
    assert jnp.all(jnp.isfinite(gradient))
    with np.errstate(over="ignore", invalid="ignore"):
        states = tuple(np.zeros((BATCH, HIDDEN)) for _ in range(4))
        for x in np.asarray(inputs):
            states = slstm(arrays(cell), x, *states, forget=sigmoid)
    assert not np.all(np.isfinite(states[0]))


def jacobian(cell: GatedCell, inputs: jax.Array) -> jax.Array:
    """Returns dh_T/dh_0 for one sequence, all other states being zero before it."""

    def last(h: jax.Array) -> jax.Array:
        _, *others = cell.initialize_carry((1, FEATURES))
        return unroll(cell, inputs[:, None], (h[None], *others))[1][-1, 0]

    return jax.jacobian(last)(jnp.full(cell.hidden_features, 0.1))


def test_a_unit_of_the_indrnn_decays_by_itself() -> None:
    """As long as a unit stays active, dh_T/dh_0 = u^T, and no unit depends on another."""
    cell = cells.IndRNN(FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    cell.bias[...] = jnp.full(HIDDEN, 50.0)
    inputs = jax.random.normal(jax.random.key(0), (TIME, FEATURES), jnp.float64)
    np.testing.assert_allclose(jacobian(cell, inputs), jnp.diag(cell.recurrent_weight[...] ** TIME), rtol=1e-12)


def test_the_exprnn_stays_orthogonal_in_training() -> None:
    """Its kernel is orthogonal after 100 steps of Adam, and without a threshold dh_T/dh_0 is, too."""
    cell = cells.ExpRNN(FEATURES, 8, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    inputs = jax.random.normal(jax.random.key(0), (TIME, BATCH, FEATURES))
    graphdef, params = nnx.split(cell)
    adam = optax.adam(0.05)

    def loss(params: Any) -> jax.Array:
        return jnp.mean((unroll(nnx.merge(graphdef, params), inputs)[1][-1] - 1) ** 2)

    def step(state: Any, _: None) -> tuple[Any, None]:
        params, moments = state
        updates, moments = adam.update(jax.grad(loss)(params), moments)
        return (optax.apply_updates(params, updates), moments), None

    with optax_promotion():
        (trained, _), _ = jax.jit(lambda state: jax.lax.scan(step, state, length=100))((params, adam.init(params)))
    assert loss(trained) < 0.5 * loss(params)
    kernel = nnx.merge(graphdef, trained).recurrent_kernels()["hidden"]
    assert not np.allclose(kernel, cell.recurrent_kernels()["hidden"], atol=0.1)
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(8), atol=1e-5)
    whole = jacobian(cell, inputs[:, 0])
    np.testing.assert_allclose(whole @ whole.T, np.eye(8), atol=1e-5)


def test_the_antisymmetric_kernel_has_imaginary_eigenvalues() -> None:
    cell = moved(partial(cells.AntisymmetricRNN, gamma=0.25), 6)
    np.testing.assert_allclose(np.linalg.eigvals(cell.recurrent_kernels()["change"]).real, -0.25, atol=1e-12)


def test_an_undamped_cornn_keeps_its_gradient() -> None:
    """Without force and damping it is an oscillator, whose symplectic step keeps areas: det d(h, z)_T/d(h, z)_0 = 1."""
    cell = cells.CoRNN(FEATURES, HIDDEN, epsilon=0.0, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    for kernel in (cell.recurrent_kernel, cell.velocity_kernel):
        kernel[...] = jnp.zeros_like(kernel[...])
    inputs = jnp.zeros((200, 1, FEATURES))

    def last(states: jax.Array) -> jax.Array:
        return jnp.concatenate(unroll(cell, inputs, (states[None, :HIDDEN], states[None, HIDDEN:]))[0], -1)[0]

    whole = jax.jacobian(last)(jnp.full(2 * HIDDEN, 0.1))
    np.testing.assert_allclose(np.linalg.det(whole), 1, rtol=1e-9)
    assert np.linalg.norm(whole, 2) < 3


def test_a_leaky_unit_fades_by_its_leak() -> None:
    cell = cells.LeakyRNN(FEATURES, HIDDEN, leak=0.25, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    cell.recurrent_kernel[...] = jnp.zeros_like(cell.recurrent_kernel[...])
    inputs = jax.random.normal(jax.random.key(0), (TIME, FEATURES), jnp.float64)
    np.testing.assert_allclose(jacobian(cell, inputs), 0.75**TIME * np.eye(HIDDEN), atol=1e-15)


def test_the_context_of_the_scrn_fades_by_alpha_whatever_the_weights_are() -> None:
    cell = moved(partial(cells.SCRN, alpha=0.75))
    inputs = jax.random.normal(jax.random.key(0), (TIME, 1, FEATURES), jnp.float64)

    def last(context: jax.Array) -> jax.Array:
        return unroll(cell, inputs, (jnp.zeros((1, HIDDEN)), context[None]))[0][1][0]

    np.testing.assert_allclose(jax.jacobian(last)(jnp.ones(HIDDEN)), 0.75**TIME * np.eye(HIDDEN), atol=1e-15)


def test_the_usual_periods_of_the_clockwork_rnn_are_powers_of_two() -> None:
    cell = cells.ClockworkRNN(FEATURES, 16, rngs=nnx.Rngs(0))
    assert cell.periods == tuple(2**group for group in range(8) for _ in range(2))


def test_slow_units_of_the_clockwork_rnn_wait() -> None:
    cell = moved(partial(cells.ClockworkRNN, periods=(1, 4)))
    inputs = jax.random.normal(jax.random.key(0), (TIME, BATCH, FEATURES), jnp.float64)
    outputs = np.asarray(unroll(cell, inputs)[1])
    changes = np.any(np.diff(outputs, axis=0) != 0, axis=1)  # at steps 1, 2, ...
    assert changes[:, :2].all()
    assert [step + 1 for step in range(TIME - 1) if changes[step, 2:].any()] == [4, 8]


def test_without_peepholes_or_losses_the_variant_is_the_lstm() -> None:
    one, other = (moved(make) for make in (cells.LSTM, cells.LSTMVariant))
    named = arrays(one)
    other.kernel[...], other.recurrent_kernel[...], other.bias[...] = (
        jnp.concatenate([named[f"{letter}_{gate}"] for gate in other.blocks], -1) for letter in ("W", "U", "b")
    )
    inputs = jax.random.normal(jax.random.key(0), (TIME, BATCH, FEATURES), jnp.float64)
    np.testing.assert_allclose(unroll(other, inputs)[1], unroll(one, inputs)[1], rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            partial(cells.ClockworkRNN, periods=(2, 1)),
            r"periods: expected positive, increasing .* got \[2, 1\]",
        ),
        (partial(cells.ClockworkRNN, periods=(1, 2, 3, 4, 5)), "at most one for each of 4 units, got 5"),
        (partial(cells.SCRN, alpha=1.0), "alpha: expected 0 or more and less than 1, got 1.0"),
        (partial(cells.ProjectedLSTM, expansion=0), "expansion: expected 1 or more, got 0"),
        (
            partial(cells.LSTMVariant, input_gate=False, forget_gate="coupled"),
            "forget_gate: expected own or none",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(make: Callable[..., GatedCell], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
