"""An LSTM with a part taken away, to find out what the part is good for."""

from typing import Literal, Unpack

import jax.numpy as jnp
from jax.nn.initializers import constant
from jaxtyping import Array, Float

from rnnbench.cells.activations import sigmoid, tanh
from rnnbench.cells.base import CellOptions, GatedCell, Number
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate, overriding


class LSTMVariant(GatedCell):
    r"""The variants of the LSTM that Greff et al. (2017) compare, one part taken away in each, or several.

        i = sigmoid(x W_i + b_i + h U_i)        or 1 without an input gate
        f = sigmoid(x W_f + b_f + h U_f)        or 1 - i if coupled, or 1 without a forget gate
        g = tanh   (x W_g + b_g + h U_g)
        o = sigmoid(x W_o + b_o + h U_o)        or 1 without an output gate
        c' = f * c + i * g
        h' = o * tanh(c')                       or o * c' without an output activation

    In a coupled cell, what is written replaces what is forgotten, as in the GRU. Without a forget gate this is the LSTM
    of Hochreiter & Schmidhuber (1997). With all its parts it is `LSTM`.
    """

    states = ("h", "c")

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        input_gate: bool = True,
        forget_gate: Literal["own", "coupled", "none"] = "own",
        output_gate: bool = True,
        output_activation: bool = True,
        forget_bias: Number = 1.0,
        bias_init: ByGate | None = None,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            input_gate: whether there is an input gate.
            forget_gate: a gate of its own, one coupled to the input gate, or none.
            output_gate: whether there is an output gate.
            output_activation: whether the output is a tanh of the cell.
            forget_bias: initial value of b_f or, coupled, of -b_i; unused without a forget gate.
            bias_init: one initialiser for all biases, or a mapping from names of some gates; it takes precedence over
                `forget_bias`.
            options: the other options of `GatedCell`.

        Raises:
            ValueError: the forget gate is coupled to an input gate that is missing.
        """
        if forget_gate == "coupled" and not input_gate:
            raise ValueError("forget_gate: expected own or none without an input gate, got coupled")
        self.input_gate, self.forget_gate, self.output_gate = input_gate, forget_gate, output_gate
        self.output_activation = output_activation
        biases = {
            "own": {"forget": constant(forget_bias)},
            "coupled": {"input": constant(-forget_bias)},
            "none": {},
        }[forget_gate]
        super().__init__(in_features, hidden_features, bias_init=overriding(bias_init, **biases), **options)

    @property
    def gates(self) -> dict[str, Gate]:
        """The gates that are left, and the candidate."""
        there = {"input": self.input_gate, "forget": self.forget_gate == "own", "output": self.output_gate}
        return {**{name: Gate(sigmoid) for name, kept in there.items() if kept}, "candidate": Gate(tanh)}

    @property
    def keeping(self) -> dict[str, int]:
        """The forget gate or, coupled to it, the input gate."""
        return {"own": {"forget": 1}, "coupled": {"input": -1}, "none": {}}[self.forget_gate]

    @property
    def writing(self) -> tuple[str, ...]:
        """The input gate, if there is one that only writes."""
        return ("input",) if self.input_gate and self.forget_gate == "own" else ()

    def step(
        self, gates: Gates, h: Float[Array, "*b hidden"], c: Float[Array, "*b hidden"]
    ) -> tuple[Float[Array, "*b hidden"], Float[Array, "*b hidden"]]:
        """Returns (h', c'), given the gates and c."""
        del h
        written = gates.input * gates.candidate if self.input_gate else gates.candidate
        c = written + (self.retention(gates)["c"] * c if self.forget_gate != "none" else c)
        output = tanh(c) if self.output_activation else c
        return gates.output * output if self.output_gate else output, c

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns what keeps c: the forget gate, 1 minus the input gate, or 1."""
        if self.forget_gate == "own":
            return {"c": gates.forget}
        if self.forget_gate == "coupled":
            return {"c": 1 - gates.input}
        return {"c": jnp.ones_like(gates.candidate)}
