"""JANET: an LSTM of which just the forget gate is left."""

from typing import ClassVar, Unpack

from jax.nn.initializers import constant
from jaxtyping import Array, Float

from rnnbench.cells.activations import sigmoid, tanh
from rnnbench.cells.base import CellOptions, GatedCell, Number
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate, overriding


class JANET(GatedCell):
    r"""JANET, "just another network" (van der Westhuizen & Lasenby 2018).

        s = x W_f + b_f + h U_f
        f = sigmoid(s)                          forget gate
        g = tanh(x W_g + b_g + h U_g)           candidate
        h' = f * h + (1 - sigmoid(s - beta)) * g

    With beta = 0, a unit writes as much as it forgets; the paper's beta of 1 lets it write more. The paper initialises
    b_f by `chrono`.
    """

    gates: ClassVar = {"forget": Gate(sigmoid, deferred=True), "candidate": Gate(tanh)}
    keeping: ClassVar = {"forget": 1}

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        beta: Number = 1.0,
        forget_bias: Number = 1.0,
        bias_init: ByGate | None = None,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            beta: by how much the drive of the forget gate is lowered before it closes the way for the candidate.
            forget_bias: initial value of b_f.
            bias_init: one initialiser for all biases, or a mapping from names of some gates; it takes precedence over
                `forget_bias`.
            options: the other options of `GatedCell`.
        """
        biases = overriding(bias_init, forget=constant(forget_bias))
        super().__init__(in_features, hidden_features, bias_init=biases, **options)
        self.beta = beta

    def step(self, gates: Gates, h: Float[Array, "*b hidden"]) -> Float[Array, "*b hidden"]:
        """Returns h', given the gates and h."""
        s = gates.forget.from_input + gates.forget.from_state(h)
        return gates.forget.activate(s) * h + (1 - sigmoid(s - self.beta)) * gates.candidate

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns the forget gate, which keeps h."""
        return {"h": gates.forget}
