"""The contract checks pass for cells that keep the contract, and name the fault in cells that break it."""

# ruff: noqa: RUF012 (authors write `gates` as a plain class attribute)

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from rnnbench import cells
from rnnbench.cells import GRU, LSTM, Gate, GatedCell, VanillaRNN, sigmoid, tanh
from rnnbench.cells.activations import BlockActivation
from rnnbench.testing import check_cell

BUILT_IN = [
    VanillaRNN,
    functools.partial(LSTM, peepholes=True),
    GRU,
    cells.JANET,
    cells.IndRNN,
    cells.LeakyRNN,
    cells.SCRN,
    cells.SLSTM,
    cells.ProjectedLSTM,
    cells.LayerNormLSTM,
    cells.FastSlowLSTM,
    cells.LEM,
    cells.CoRNN,
    cells.AntisymmetricRNN,
    cells.ExpRNN,
    functools.partial(cells.ClockworkRNN, periods=(1, 2)),
    functools.partial(cells.LSTMVariant, forget_gate="coupled", output_activation=False),
    cells.MGU,
    cells.MinGRU,
    cells.MinLSTM,
    cells.SRU,
    cells.LRU,
    functools.partial(cells.S4D, order=4),
    functools.partial(cells.LSTMVariant, input_gate=False, forget_gate="none", output_gate=False),
]


@pytest.mark.parametrize("make_cell", [*BUILT_IN, nnx.GRUCell])
def test_contract_is_kept(make_cell):
    check_cell(make_cell)


class Plain(GatedCell):
    gates = {"candidate": Gate(tanh)}

    def step(self, gates, h):
        return gates.candidate


class OneStart(Plain):
    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=nnx.Rngs(0))


class StartsAnywhere(Plain):
    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=nnx.Rngs(int(np.random.default_rng().integers(1 << 30))))


class TooWide(Plain):
    def __call__(self, carry, inputs):
        carry, output = super().__call__(carry, inputs)
        return carry, jnp.concatenate([output, output], axis=-1)


class NoBatch(Plain):
    def initialize_carry(self, input_shape, rngs=None, carry_init=None):
        return (jnp.zeros(self.hidden_features, jnp.float32),)


class ControlFlow(Plain):
    def step(self, gates, h):
        return gates.candidate if jnp.sum(h) > 0 else h


class UsesKernel(Plain):
    def step(self, gates, h):
        return gates.candidate + h @ self.recurrent_kernel[...]


class NotFinite(Plain):
    def step(self, gates, h):
        return gates.candidate + jnp.log(h)


class DrawsAtRandom(Plain):
    def step(self, gates, h):
        return gates.candidate * np.random.default_rng().uniform()


class MixesBatch(Plain):
    def step(self, gates, h):
        return gates.candidate - jnp.mean(h, axis=0, keepdims=True)


class StopsGradient(Plain):
    def step(self, gates, h):
        return gates.candidate + 0.5 * jax.lax.stop_gradient(h)


class UnusedGate(GatedCell):
    gates = {"candidate": Gate(tanh), "reset": Gate(tanh)}

    def step(self, gates, h):
        return gates.candidate + 0 * gates.reset


class UnusedDrive(GatedCell):
    gates = {"candidate": Gate(tanh), "skip": Gate(tanh, deferred=True)}

    def step(self, gates, h):
        return gates.candidate + gates.skip.activate(gates.skip.from_input)


class WrongRetention(Plain):
    gates = {"candidate": Gate(tanh), "keep": Gate(sigmoid, deferred=True)}

    def step(self, gates, h):
        keep = gates.keep.activate(gates.keep.from_input + gates.keep.from_state(h))
        return keep * h + (1 - keep) * gates.candidate

    def retention(self, gates):
        return {"h": 1 - gates.keep}


class RetainsNothingKnown(WrongRetention):
    def retention(self, gates):
        return {"c": gates.keep}


class DrawsFromRngs(Plain):
    def __init__(self, *sizes, rngs):
        super().__init__(*sizes, rngs=rngs)
        self.rngs = nnx.Rngs(noise=0)

    def step(self, gates, h):
        return gates.candidate + jax.random.normal(self.rngs.noise(), h.shape, h.dtype)


class Forgets(GatedCell):
    gates = {"candidate": Gate(tanh, deferred=True, recurrent=False)}

    def step(self, gates, h):
        return gates.candidate.activate(gates.candidate.from_input)


class NotActivated(Forgets):
    def step(self, gates, h):
        return gates.candidate * h


@pytest.mark.parametrize(
    ("make_cell", "message"),
    [
        (OneStart, "OneStart: two keys gave the same parameters"),
        (StartsAnywhere, "one key gave different parameters"),
        (TooWide, r"expected the shape \(batch, hidden_features\) = \(3, 4\), got \(3, 8\)"),
        (NoBatch, "initialize_carry: every leaf needs the batch as its first axis"),
        (ControlFlow, "Python control flow must not depend on values"),
        (UsesKernel, "a step may use kernel, recurrent_kernel, bias and recurrent_bias through its gates only"),
        (NotFinite, "its outputs are not finite for ordinary inputs"),
        (DrawsAtRandom, "the unroll differs from calling the cell step by step"),
        (MixesBatch, "an example's outputs depend on the other examples of its batch"),
        (StopsGradient, "the gradient with respect to .* finite differences give .*: look for stop_gradient"),
        (UnusedGate, "gate 'reset' is declared, but no state and no output depends on it"),
        (UnusedDrive, "gate 'skip' is declared to see h, but its step leaves out from_state"),
        (WrongRetention, r"retention: with all gates held, the slope of the new h by the last is \[.*but the factor"),
        (RetainsNothingKnown, r"retention: \['c'\] are none of its states, which are h"),
        (Forgets, r"did not learn to recall its first input after 8 steps: accuracy 0\.[45]"),
    ],
)
def test_what_is_broken_is_named(make_cell, message):
    with pytest.raises(AssertionError, match=message):
        check_cell(make_cell)


@pytest.mark.parametrize(
    ("make_cell", "error", "message"),
    [
        (NotActivated, RuntimeError, "gate 'candidate' is deferred, so the step must activate it before it is used"),
        (DrawsFromRngs, TypeError, "DrawsFromRngs.step changes rngs.noise.count of the cell"),
    ],
)
def test_a_step_that_cannot_run_says_why(make_cell, error, message):
    with pytest.raises(error, match=message):
        check_cell(make_cell)


def test_a_wrong_gradient_of_the_framework_is_named(monkeypatch):
    def gradients(self, activated, gradients):
        return [0.9 * gradient * (1 - a * a) for gradient, a in zip(gradients, activated, strict=True)]

    monkeypatch.setattr(BlockActivation, "gradients", gradients)
    with pytest.raises(AssertionError, match=r"gradient with respect to parameter bias differs from that of a plain"):
        check_cell(VanillaRNN)
