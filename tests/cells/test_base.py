"""What the author of a cell is told when it does not fit."""

# ruff: noqa: RUF012 (an author writes `gates` as a plain class attribute)

import functools

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, GatedCell, VanillaRNN, tanh, unroll


class NoStep(GatedCell):
    gates = {"candidate": tanh}
    states = ("h", "c")


class MistypedGate(GatedCell):
    gates = {"candidate": tanh, "reset": tanh}

    def step(self, gates, h):
        return gates.forget * h


class ForgetsState(GatedCell):
    gates = {"candidate": tanh}
    states = ("h", "c")

    def step(self, gates, h, c):
        return gates.candidate


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (NoStep, TypeError, r"NoStep must define step\(self, gates, h, c\)"),
        (MistypedGate, AttributeError, "this cell has no gate 'forget'; its gates are candidate, reset"),
        (ForgetsState, ValueError, r"ForgetsState.step must return the new states \(h, c\), but it returned 1 arrays"),
    ],
)
def test_errors_say_what_to_mend(make, error, message):
    inputs = jnp.ones((2, 1, 3), jnp.float32)
    with pytest.raises(error, match=message):
        unroll(make(3, 4, rngs=nnx.Rngs(0)), inputs)
    with pytest.raises(error, match=message):
        nnx.RNN(make(3, 4, rngs=nnx.Rngs(0)), time_major=True)(inputs)


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
