"""Long short-term memory."""

from typing import ClassVar, Unpack

import jax.numpy as jnp
from flax import nnx
from jax.nn.initializers import constant
from jaxtyping import Array, Float

from rnnbench.cells.activations import sigmoid, tanh
from rnnbench.cells.base import CellOptions, GatedCell, Number, zeros
from rnnbench.cells.gates import Drive, Gate, Gates
from rnnbench.cells.initializers import ByGate, overriding


class LSTM(GatedCell):
    r"""LSTM (Hochreiter & Schmidhuber 1997) with a forget gate (Gers et al. 2000).

        i = sigmoid(x W_i + b_i + h U_i)        input gate
        f = sigmoid(x W_f + b_f + h U_f)        forget gate
        g = tanh   (x W_g + b_g + h U_g)        candidate
        o = sigmoid(x W_o + b_o + h U_o)        output gate
        c' = f * c + i * g
        h' = o * tanh(c')

    The initial value of b_f is `forget_bias`: by default 1, as in Jozefowicz et al. (2015); in `flax.nnx.LSTMCell` it
    is 0. PyTorch has two biases per gate, whose sum is the bias here. With `peepholes` (Gers & Schmidhuber 2000) the
    gates also see the cell state, through vectors p that are initially zero: inside the sigmoid, i and f get `+ p * c`
    and o gets `+ p_o * c'`.
    """

    states = ("h", "c")
    keeping: ClassVar = {"forget": 1}
    writing: ClassVar = ("input",)

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        forget_bias: Number = 1.0,
        peepholes: bool = False,
        bias_init: ByGate | None = None,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            forget_bias: initial value of b_f.
            peepholes: whether the gates see the cell state.
            bias_init: one initialiser for all biases, or a mapping from names of some gates, for example
                `chrono(longest)`; it takes precedence over `forget_bias`.
            options: the other options of `GatedCell`.
        """
        self.peepholes = peepholes
        biases = overriding(bias_init, forget=constant(forget_bias))
        super().__init__(in_features, hidden_features, bias_init=biases, **options)
        if peepholes:
            key = options["rngs"].params()
            self.peephole = nnx.Param(zeros(key, (3, hidden_features), self.param_dtype))

    @property
    def gates(self) -> dict[str, Gate]:
        """The gates input, forget and output, and the candidate. With peepholes, the step activates the three gates."""
        seen = Gate(sigmoid, deferred=self.peepholes)
        return {"input": seen, "forget": seen, "candidate": Gate(tanh), "output": seen}

    def step(
        self, gates: Gates, h: Float[Array, "*b hidden"], c: Float[Array, "*b hidden"]
    ) -> tuple[Float[Array, "*b hidden"], Float[Array, "*b hidden"]]:
        """Returns (h', c'), given the gates and c."""
        if self.peepholes:
            p_input, p_forget, p_output = self.peephole[...]

            def look(gate: Drive, peephole: Array, cell: Array) -> Array:
                return gate.activate(
                    gate.from_input + gate.from_state(h) + jnp.broadcast_to(peephole, cell.shape) * cell
                )

            c = look(gates.forget, p_forget, c) * c + look(gates.input, p_input, c) * gates.candidate
            return look(gates.output, p_output, c) * tanh(c), c
        c = gates.forget * c + gates.input * gates.candidate
        return gates.output * tanh(c), c

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns the forget gate, which keeps c."""
        return {"c": gates.forget}
