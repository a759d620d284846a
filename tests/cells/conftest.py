"""The cells that every test of the cells' contract goes through, in float64: a newcomer is tested by being listed."""

# ruff: noqa: RUF012 (an author writes `gates` as a plain class attribute)

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, Deferred, GatedCell, VanillaRNN, relu, sigmoid, tanh

FEATURES, HIDDEN = 3, 4


class MinimalDeferred(GatedCell):
    """Deferred gates only; one of them never asks for its drive from the state."""

    gates = {"keep": Deferred(sigmoid), "candidate": Deferred(tanh, recurrent_bias=True), "skip": Deferred(tanh)}

    def step(self, gates, h):
        keep = gates.keep.activate(gates.keep.from_input + gates.keep.from_state(h))
        candidate = gates.candidate.activate(gates.candidate.from_input + gates.candidate.from_state(h))
        return keep * h + (1 - keep) * candidate + gates.skip.activate(gates.skip.from_input)


class UnknownSlope(GatedCell):
    """An activation whose derivative does not follow from its value."""

    gates = {"scale": sigmoid, "candidate": jax.nn.softplus}

    def step(self, gates, h):
        return gates.scale * gates.candidate - 0.5 * h


class MixedActivations(GatedCell):
    """Gates that are neither all alike nor all sigmoid or tanh."""

    gates = {"update": sigmoid, "candidate": relu}

    def step(self, gates, h):
        return h + gates.update * (gates.candidate - h)


class OwnParameters(GatedCell):
    """Parameters of the step's own, one of them within a module, beside integers."""

    gates = {"candidate": tanh}

    def __init__(self, in_features, hidden_features, *, rngs, **options):
        super().__init__(in_features, hidden_features, rngs=rngs, **options)
        self.decay = nnx.Param(jnp.full(hidden_features, 0.3, self.param_dtype))
        self.mix = nnx.Linear(hidden_features, hidden_features, param_dtype=self.param_dtype, rngs=rngs)
        self.fast = nnx.Variable(jnp.arange(hidden_features) % 2)

    def step(self, gates, h):
        slow = sigmoid(self.decay[...])[None] * h + self.mix(gates.candidate)
        return jnp.where(self.fast[...][None] == 1, gates.candidate, slow)


class DrivenByOtherState(GatedCell):
    """A drive from a state that is not h, another asked for twice, and three states."""

    gates = {"input": sigmoid, "write": Deferred(tanh), "read": Deferred(tanh, recurrent_bias=True)}
    states = ("h", "c", "n")

    def step(self, gates, h, c, n):
        c = c + gates.input * gates.write.activate(gates.write.from_input + gates.write.from_state(c * n))
        once = gates.read.from_state(h)
        h = gates.read.activate(gates.read.from_input + once + gates.read.from_state(once * c))
        return h, c, 0.9 * n + gates.input


CELLS = {
    "tanh": VanillaRNN,
    "relu": functools.partial(VanillaRNN, activation="relu"),
    "identity": functools.partial(VanillaRNN, activation="identity"),
    "lstm": LSTM,
    "lstm-peepholes": functools.partial(LSTM, peepholes=True),
    "lstm-no-bias": functools.partial(LSTM, use_bias=False, peepholes=True),
    "gru": GRU,
    "gru-before": functools.partial(GRU, reset="before"),
    "gru-no-bias": functools.partial(GRU, use_bias=False),
    "minimal-deferred": MinimalDeferred,
    "unknown-slope": UnknownSlope,
    "mixed-activations": MixedActivations,
    "own-parameters": OwnParameters,
    "driven-by-other-state": DrivenByOtherState,
}


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> GatedCell:
    """Each cell in turn, every parameter (biases and peepholes too) away from its start."""
    cell = CELLS[request.param](FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    key = jax.random.key(1)
    nnx.update(
        cell, jax.tree.map(lambda p: p + 0.4 * jax.random.normal(key, p.shape, p.dtype), nnx.state(cell, nnx.Param))
    )
    return cell
