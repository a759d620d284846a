"""The sLSTM: an LSTM with exponential gates."""

from typing import Any, ClassVar, Literal, Unpack

import jax
import jax.numpy as jnp
from jax.nn.initializers import constant
from jaxtyping import Array, Float

from rnnbench.cells.activations import identity, sigmoid, tanh
from rnnbench.cells.base import CellOptions, GatedCell, Number, States
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate, overriding


class SLSTM(GatedCell):
    r"""sLSTM (Beck et al. 2024, "xLSTM", section 2.2), with one head.

        i = x W_i + b_i + h U_i                 logarithm of the input gate
        f = log f_(x W_f + b_f + h U_f)         logarithm of the forget gate; f_ is the sigmoid or the exponential
        g = tanh   (x W_g + b_g + h U_g)        candidate
        o = sigmoid(x W_o + b_o + h U_o)        output gate
        m' = max(f + m, i)                      stabiliser
        c' = exp(f + m - m') * c + exp(i - m') * g
        n' = exp(f + m - m') * n + exp(i - m')
        h' = o * c' / n'

    Without the stabiliser it would be c' = exp(f) c + exp(i) g and n' = exp(f) n + exp(i), whose ratio is the same but
    which overflow. Before the first step m is the least finite number, so that n' is at least 1 from the first step on.
    """

    states: ClassVar = ("h", "c", "n", "m")
    gates: ClassVar = {
        "input": Gate(identity),
        "forget": Gate(identity),
        "candidate": Gate(tanh),
        "output": Gate(sigmoid),
    }

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        forget: Literal["sigmoid", "exponential"] = "sigmoid",
        forget_bias: Number = 1.0,
        bias_init: ByGate | None = None,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            forget: the activation f_ of the forget gate.
            forget_bias: initial value of b_f.
            bias_init: one initialiser for all biases, or a mapping from names of some gates; it takes precedence over
                `forget_bias`.
            options: the other options of `GatedCell`.
        """
        self.forget = forget
        biases = overriding(bias_init, forget=constant(forget_bias))
        super().__init__(in_features, hidden_features, bias_init=biases, **options)

    def step(
        self,
        gates: Gates,
        h: Float[Array, "*b hidden"],
        c: Float[Array, "*b hidden"],
        n: Float[Array, "*b hidden"],
        m: Float[Array, "*b hidden"],
    ) -> tuple[Array, Array, Array, Array]:
        """Returns (h', c', n', m'), given the gates and c, n and m."""
        del h
        forget = jax.nn.log_sigmoid(gates.forget) if self.forget == "sigmoid" else gates.forget
        largest = jnp.maximum(forget + m, gates.input)
        keep, write = jnp.exp(forget + m - largest), jnp.exp(gates.input - largest)
        c, n = keep * c + write * gates.candidate, keep * n + write
        return gates.output * c / n, c, n, largest

    def initialize_carry(self, input_shape: tuple[int, ...], rngs: Any = None, carry_init: Any = None) -> States:
        """Returns the states before the first step: zeros, and the least finite number as m."""
        *states, m = super().initialize_carry(input_shape, rngs, carry_init)
        return (*states, jnp.full_like(m, jnp.finfo(m.dtype).min / 2) if carry_init is None else m)
