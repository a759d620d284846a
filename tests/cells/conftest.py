"""The cells that every contract test runs on, in float64. To test a new cell, add it to the list."""

# ruff: noqa: RUF012 (authors write `gates` as a plain class attribute)

import functools
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import jaxtyping
import pytest
from flax import nnx

from rnnbench.cells import GRU, LSTM, Gate, GatedCell, VanillaRNN, identity, relu, sigmoid, tanh

FEATURES, HIDDEN = 3, 4


class MinimalDeferred(GatedCell):
    """Has only deferred gates. One of them never uses its drive from the state."""

    gates = {
        "keep": Gate(sigmoid, deferred=True),
        "candidate": Gate(tanh, deferred=True, recurrent_bias=True),
        "skip": Gate(tanh, deferred=True),
    }

    def step(self, gates, h):
        keep = gates.keep.activate(gates.keep.from_input + gates.keep.from_state(h))
        candidate = gates.candidate.activate(gates.candidate.from_input + gates.candidate.from_state(h))
        return keep * h + (1 - keep) * candidate + gates.skip.activate(gates.skip.from_input)


class UnknownSlope(GatedCell):
    """Has an activation whose derivative cannot be computed from its value."""

    gates = {"scale": Gate(sigmoid), "candidate": Gate(jax.nn.softplus)}

    def step(self, gates, h):
        return gates.scale * gates.candidate - 0.5 * h


class MixedActivations(GatedCell):
    """Has gates with different activations, not all of them sigmoid or tanh."""

    gates = {"update": Gate(sigmoid), "candidate": Gate(relu)}

    def step(self, gates, h):
        return h + gates.update * (gates.candidate - h)


class OwnParameters(GatedCell):
    """Has extra parameters that the step uses, one of them inside a module, and integers."""

    gates = {"candidate": Gate(tanh)}

    def __init__(self, in_features, hidden_features, *, rngs, **options):
        super().__init__(in_features, hidden_features, rngs=rngs, **options)
        self.decay = nnx.Param(jnp.full(hidden_features, 0.3, self.param_dtype))
        self.mix = nnx.Linear(hidden_features, hidden_features, param_dtype=self.param_dtype, rngs=rngs)
        self.fast = nnx.Variable(jnp.arange(hidden_features) % 2)

    def step(self, gates, h):
        slow = sigmoid(self.decay[...])[None] * h + self.mix(gates.candidate)
        return jnp.where(self.fast[...][None] == 1, gates.candidate, slow)


class DrivenByOtherState(GatedCell):
    """Has three states, a drive from a state other than h, and a drive that is used twice."""

    gates = {
        "input": Gate(sigmoid),
        "write": Gate(tanh, deferred=True),
        "read": Gate(tanh, deferred=True, recurrent_bias=True),
    }
    states = ("h", "c", "n")

    def step(self, gates, h, c, n):
        c = c + gates.input * gates.write.activate(gates.write.from_input + gates.write.from_state(c * n))
        once = gates.read.from_state(h)
        h = gates.read.activate(gates.read.from_input + once + gates.read.from_state(once * c))
        return h, c, 0.9 * n + gates.input


class Projected(GatedCell):
    """An LSTM with two extra cells, whose h is a projection of its cells (Sak et al. 2014)."""

    gates = {name: Gate(sigmoid) for name in ("input", "forget", "output")} | {"candidate": Gate(tanh)}
    states = ("h", "c")

    def __init__(self, in_features, hidden_features, *, rngs, **options):
        super().__init__(in_features, hidden_features, rngs=rngs, **options)
        shape = (self.gate_features, hidden_features)
        self.projection = nnx.Param(jax.nn.initializers.lecun_normal()(rngs.params(), shape, self.param_dtype))

    @property
    def gate_features(self):
        return self.hidden_features + 2

    def step(self, gates, h, c):
        c = gates.forget * c + gates.input * gates.candidate
        return (gates.output * tanh(c)) @ self.projection[...], c

    def retention(self, gates):
        return {"c": gates.forget}


class ProjectedDeferred(Projected):
    """The same with all kinds of gates, drives from h and from other states, and a state with a third width."""

    gates = {
        "input": Gate(sigmoid, recurrent=False),
        "forget": Gate(sigmoid, deferred=True, recurrent_bias=True),
        "output": Gate(sigmoid),
        "candidate": Gate(tanh, deferred=True),
        "skip": Gate(tanh, deferred=True, recurrent=False),
    }
    states = ("h", "c", "m")

    @property
    def state_features(self):
        return {"h": self.hidden_features, "c": self.gate_features, "m": 1}

    def step(self, gates, h, c, m):
        forget = gates.forget.activate(gates.forget.from_input + gates.forget.from_state(h))
        candidate = gates.candidate.activate(gates.candidate.from_input + gates.candidate.from_state(m * h))
        c = forget * c + gates.input * candidate + gates.skip.activate(gates.skip.from_input)
        return (gates.output * tanh(c)) @ self.projection[...], c, 0.9 * m + h[..., :1]


class Independent(GatedCell):
    """IndRNN (Li et al. 2018): no gate multiplies h by a matrix."""

    gates = {"candidate": Gate(relu, recurrent=False, deferred=True)}

    def __init__(self, in_features, hidden_features, *, rngs, **options):
        super().__init__(in_features, hidden_features, rngs=rngs, **options)
        self.weight = nnx.Param(jnp.ones(hidden_features, self.param_dtype))

    def step(self, gates, h):
        n = gates.candidate
        return n.activate(n.from_input + jnp.broadcast_to(self.weight[...], h.shape) * h)


class MinimalGRU(GatedCell):
    """minGRU (Feng et al. 2024): the gates depend only on the input."""

    gates = {"update": Gate(sigmoid, recurrent=False), "candidate": Gate(tanh, recurrent=False)}

    def step(self, gates, h):
        return h + gates.update * (gates.candidate - h)

    def retention(self, gates):
        return {"h": 1 - gates.update}


class ScalarLSTM(GatedCell):
    """sLSTM (Beck et al. 2024), which has four states, with a sigmoid forget gate."""

    gates = {
        "input": Gate(identity),
        "forget": Gate(sigmoid),
        "output": Gate(sigmoid),
        "candidate": Gate(tanh),
    }
    states = ("h", "c", "n", "m")

    def step(self, gates, h, c, n, m):
        log_forget = jnp.log(gates.forget)
        largest = jnp.maximum(log_forget + m, gates.input)
        i, f = jnp.exp(gates.input - largest), jnp.exp(log_forget + m - largest)
        c, n = f * c + i * gates.candidate, f * n + i
        return gates.output * c / (1 + jnp.square(n)), c, n, largest


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
    "projected": Projected,
    "projected-deferred": ProjectedDeferred,
    "independent": Independent,
    "minimal-gru": MinimalGRU,
    "scalar-lstm": ScalarLSTM,
}


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    with jax.enable_x64(True):
        yield


@pytest.fixture
def untyped() -> Iterator[None]:
    """Turns off type checks at every call, as outside of tests, so that mistakes get further."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


@pytest.fixture(params=CELLS)
def cell(request: pytest.FixtureRequest) -> GatedCell:
    """Returns each cell in turn, with every parameter (also biases and peepholes) moved from its initial value."""
    cell = CELLS[request.param](FEATURES, HIDDEN, param_dtype=jnp.float64, rngs=nnx.Rngs(0))
    key = jax.random.key(1)
    nnx.update(
        cell, jax.tree.map(lambda p: p + 0.4 * jax.random.normal(key, p.shape, p.dtype), nnx.state(cell, nnx.Param))
    )
    return cell
