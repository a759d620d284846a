"""The LSTM with a projection: more cells than features of the hidden state."""

from typing import ClassVar, Unpack

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import constant
from jaxtyping import Array, Float

from rnnbench.cells.activations import sigmoid, tanh
from rnnbench.cells.base import CellOptions, GatedCell, Number, lecun_normal
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate, overriding


class ProjectedLSTM(GatedCell):
    r"""LSTM with a recurrent projection (Sak et al. 2014).

        i, f, o = sigmoid(x W + b + h U)        input, forget and output gates, each with its own W, b and U
        g = tanh(x W_g + b_g + h U_g)           candidate
        c' = f * c + i * g
        h' = (o * tanh(c')) P                   projection

    Gates and cells are `expansion` times as wide as h, so that the cell remembers more than its recurrent kernels are
    wide. The output is h: the paper's second, non-recurrent projection is left out, and so are its peepholes.
    """

    states: ClassVar = ("h", "c")
    gates: ClassVar = {
        "input": Gate(sigmoid),
        "forget": Gate(sigmoid),
        "candidate": Gate(tanh),
        "output": Gate(sigmoid),
    }
    keeping: ClassVar = {"forget": 1}
    writing: ClassVar = ("input",)

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        expansion: int = 2,
        forget_bias: Number = 1.0,
        bias_init: ByGate | None = None,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            expansion: cells for each feature of the hidden state.
            forget_bias: initial value of b_f.
            bias_init: one initialiser for all biases, or a mapping from names of some gates; it takes precedence over
                `forget_bias`.
            options: the other options of `GatedCell`.

        Raises:
            ValueError: `expansion` is not positive.
        """
        if expansion < 1:
            raise ValueError(f"expansion: expected 1 or more, got {expansion}")
        self.expansion = expansion
        biases = overriding(bias_init, forget=constant(forget_bias))
        super().__init__(in_features, hidden_features, bias_init=biases, **options)
        shape = (self.gate_features, hidden_features)
        self.projection = nnx.Param(lecun_normal(options["rngs"].params(), shape, jnp.float32).astype(self.param_dtype))

    @property
    def gate_features(self) -> int:
        """Width of every gate and of c."""
        return self.expansion * self.hidden_features

    def step(
        self, gates: Gates, h: Float[Array, "*b hidden"], c: Float[Array, "*b cells"]
    ) -> tuple[Float[Array, "*b hidden"], Float[Array, "*b cells"]]:
        """Returns (h', c'), given the gates and c."""
        del h
        c = gates.forget * c + gates.input * gates.candidate
        return (gates.output * tanh(c)) @ self.projection[...], c

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns the forget gate, which keeps c."""
        return {"c": gates.forget}
