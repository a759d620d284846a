"""What a cell built from gates is, and which messages its author gets if something does not fit."""

# ruff: noqa: RUF012 (authors write `gates` as a plain class attribute)

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, Drive, Gate, GatedCell, Gates, VanillaRNN, sigmoid, tanh, unroll


class Correct(GatedCell):
    gates = {
        "reset": Gate(sigmoid),
        "candidate": Gate(tanh, deferred=True),
        "skip": Gate(tanh, deferred=True, recurrent=False),
    }

    def step(self, gates, h):
        n, skip = gates.candidate, gates.skip
        return n.activate(n.from_input + n.from_state(gates.reset * h)) + skip.activate(skip.from_input)


def broken(step, states=("h",)):
    """Returns `Correct` with a different step."""
    return type("Broken", (Correct,), {"step": step, "states": states})


class NoStep(GatedCell):
    gates = {"candidate": Gate(tanh)}
    states = ("h", "c")


class NoGates(GatedCell):
    def step(self, gates, h):
        return h


class BareActivation(GatedCell):
    gates = {"candidate": tanh}

    def step(self, gates, h):
        return gates.candidate


class KeepsInCell(Correct):
    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=rngs)
        self.count = nnx.Variable(jnp.zeros((), jnp.float32))

    def step(self, gates, h):
        self.count[...] = self.count[...] + 1
        return super().step(gates, h)


class DrawsAtRandom(Correct):
    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=rngs)
        self.rngs = nnx.Rngs(noise=0)

    def step(self, gates, h):
        return super().step(gates, h) + jax.random.normal(self.rngs.noise(), h.shape, h.dtype)


class DropsOut(Correct):
    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=rngs)
        self.dropout = nnx.Dropout(0.5, rngs=nnx.Rngs(dropout=0))

    def step(self, gates, h):
        return self.dropout(super().step(gates, h))


def test_a_correct_one_runs():
    cell = Correct(3, 4, rngs=nnx.Rngs(0))
    assert unroll(cell, jnp.ones((2, 1, 3), jnp.float32))[1].shape == (2, 1, 4)
    assert cell.recurrent_kernel.shape == (4, 2 * 4)
    assert cell.kernel.shape == (3, 3 * 4)


ACTIVATE = "gate 'candidate' is deferred, so the step must activate it before it is used: n.activate"


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (NoStep, TypeError, r"^NoStep must define step\(self, gates, h, c\)$"),
        (NoGates, TypeError, r"^NoGates must define gates, as {name: Gate\(activation\)}$"),
        (
            BareActivation,
            TypeError,
            r"BareActivation.gates: expected a Gate\(activation\) for 'candidate', got <PjitFunction of",
        ),
        (
            broken(lambda self, gates, h: gates.rest * h),
            AttributeError,
            r"there is no gate 'rest'; the gates are reset, candidate, skip\. Did you mean reset\?",
        ),
        (
            broken(lambda self, gates, h, c: gates.reset, states=("h", "c")),
            ValueError,
            r"Broken.step must return the new states \(h, c\), 2 arrays, got 1",
        ),
        (
            broken(lambda self, gates, h: (gates.reset, h)),
            ValueError,
            r"Broken.step must return the new states \(h\), 1 arrays, got 2",
        ),
        (
            broken(lambda self, gates, h: None),
            TypeError,
            "Broken.step must return an array as the new state h, got None",
        ),
        (broken(lambda self, gates, h: gates.candidate), RuntimeError, f"as the new state h: {ACTIVATE}"),
        (
            broken(lambda self, gates, h: h[..., :2]),
            ValueError,
            r"Broken.step: the new state h must have the shape of the last, \(1, 4\), got \(1, 2\)",
        ),
        (
            broken(lambda self, gates, h: h.astype(jnp.float16)),
            TypeError,
            "Broken.step: the new state h must be of the type of the last, float32, got float16",
        ),
        *(
            (broken(lambda self, gates, h, use=use: use(gates.candidate, h)), RuntimeError, ACTIVATE)
            for use in (
                lambda n, h: n * h,
                lambda n, h: h * n,
                lambda n, h: 1 - n,
                lambda n, h: -n,
                lambda n, h: n @ h.T,
                lambda n, h: n[0],
                lambda n, h: n > 0,
                lambda n, h: jnp.tanh(n),
                lambda n, h: jnp.where(h > 0, n, h),
            )
        ),
        (
            broken(lambda self, gates, h: gates.candidate.shape),
            AttributeError,
            f"{ACTIVATE}.* a drive has no 'shape'",
        ),
        (
            broken(lambda self, gates, h: gates.skip.from_state(h)),
            TypeError,
            "gate 'skip' is declared with recurrent=False: it has no U for from_state",
        ),
        (
            broken(lambda self, gates, h: gates.candidate.from_state(h[..., :2])),
            ValueError,
            r"gate 'candidate': from_state takes a state as wide as h, 4, got shape \(1, 2\)",
        ),
    ],
)
def test_errors_say_what_to_mend(make, error, message, untyped):
    inputs = jnp.ones((2, 1, 3), jnp.float32)
    with pytest.raises(error, match=message):
        unroll(make(3, 4, rngs=nnx.Rngs(0)), inputs)
    with pytest.raises(error, match=message):
        nnx.RNN(make(3, 4, rngs=nnx.Rngs(0)), time_major=True)(inputs)


@pytest.mark.parametrize(
    ("make", "what"),
    [(KeepsInCell, "count"), (DrawsAtRandom, "rngs.noise.count"), (DropsOut, "dropout.rngs.count")],
)
def test_a_step_keeps_nothing_and_draws_nothing(make, what):
    message = f"{make.__name__}.step changes {what} of the cell: a step keeps nothing in the cell and draws nothing at"
    with pytest.raises(TypeError, match=message):
        unroll(make(3, 4, rngs=nnx.Rngs(0)), jnp.ones((2, 1, 3), jnp.float32))


def test_a_gate_is_declared_by_what_it_can_be(untyped):
    with pytest.raises(TypeError, match="activation: expected a function of an array, got 'tanh'"):
        Gate("tanh")
    for options in ({}, {"deferred": True, "recurrent": False}):
        with pytest.raises(ValueError, match="recurrent_bias: only a recurrent gate that is deferred has one"):
            Gate(tanh, recurrent_bias=True, **options)


@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
@pytest.mark.parametrize("make", [VanillaRNN, LSTM, functools.partial(LSTM, peepholes=True), GRU])
def test_a_step_takes_any_batch_axes(make, batch):
    cell = make(3, 4, rngs=nnx.Rngs(0))
    carry, output = cell(cell.initialize_carry((*batch, 3)), jnp.ones((*batch, 3), jnp.float32))
    assert output.shape == (*batch, 4)
    assert [state.shape for state in carry] == [output.shape] * len(cell.states)


def test_first_carry_may_be_drawn():
    cell = LSTM(3, 4, rngs=nnx.Rngs(0))
    zeros = cell.initialize_carry((2, 3))
    drawn = cell.initialize_carry((2, 3), nnx.Rngs(carry=1), jax.nn.initializers.normal())
    assert not any(state.any() for state in zeros)
    assert [state.shape for state in drawn] == [(2, 4), (2, 4)]
    assert (drawn[0] != drawn[1]).all()


def test_widths_of_gates_and_states(cell):
    gates, recurrent = len(cell.blocks), len(cell.recurrent)
    assert cell.kernel.shape == (3, gates * cell.gate_features)
    if recurrent:
        assert cell.recurrent_kernel.shape == (4, recurrent * cell.gate_features)
    else:
        assert cell.recurrent_kernel is None
    assert {kernel.shape for kernel in cell.recurrent_kernels().values()} <= {(4, cell.gate_features)}
    carry = cell.initialize_carry((2, 3))
    assert [state.shape for state in carry] == [(2, width) for width in cell.state_features.values()]
    new, values = cell.observe(carry, jnp.ones((2, 3)))
    assert [state.shape for state in new] == [state.shape for state in carry]
    assert {value.shape for value in values.values()} == {(2, cell.gate_features)}
    assert list(values) == list(cell.gates)


KEPT = {
    "lstm": {"c": lambda g: g.forget},
    "lstm-peepholes": {"c": lambda g: g.forget},
    "gru": {"h": lambda g: g.update},
    "gru-before": {"h": lambda g: g.update},
    "minimal-gru": {"h": lambda g: 1 - g.update},
    "projected": {"c": lambda g: g.forget},
    "tanh": {},
}


@pytest.mark.parametrize(("cell", "kept"), KEPT.items(), ids=KEPT, indirect=["cell"])
def test_retention_is_the_slope_of_the_state_with_all_gates_held(cell, kept):
    """Uses finite differences: with the gates held fixed, a step is linear in the state that a gate retains."""
    generator = np.random.default_rng(0)
    states = tuple(jnp.asarray(generator.standard_normal((2, width))) for width in cell.state_features.values())
    _, values = cell.observe(states, jnp.asarray(generator.standard_normal((2, 3))))
    found = cell.retention(Gates(values))
    assert set(found) == set(kept)

    def held(name, value):
        """Returns a gate that keeps its value whatever the step gives it."""
        zeros = jnp.zeros_like(value)
        return Drive(name, zeros, lambda v: zeros, lambda z: value, 4) if cell.gates[name].deferred else value

    gates = Gates({name: held(name, value) for name, value in values.items()})
    for state, factor in found.items():
        number = cell.states.index(state)

        def new(distance, number=number):
            moved = tuple(s + distance if i == number else s for i, s in enumerate(states))
            result = cell.step(gates, *moved)
            return result[number] if isinstance(result, tuple) else result

        np.testing.assert_allclose((new(1e-4) - new(-1e-4)) / 2e-4, factor, rtol=1e-8)
        np.testing.assert_array_equal(factor, kept[state](Gates(values)))
        over_time = Gates({name: jnp.stack([value, value]) for name, value in values.items()})
        np.testing.assert_array_equal(cell.retention(over_time)[state], jnp.stack([factor, factor]))
