"""The minimal LSTM, whose gates see the input alone."""

from typing import ClassVar, Unpack

from jax.nn import log_sigmoid
from jax.nn.initializers import constant
from jaxtyping import Array, Float

from rnnbench.cells.activations import identity, sigmoid
from rnnbench.cells.base import CellOptions, Number
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate, overriding
from rnnbench.cells.linear import LinearCell


class MinLSTM(LinearCell):
    r"""minLSTM (Feng et al. 2024, "Were RNNs all we needed?").

        log f = log sigmoid(x W_f + b_f)        forget gate
        log i = log sigmoid(x W_i + b_i)        input gate
        n = x W_n + b_n                         candidate
        h' = f / (f + i) * h + i / (f + i) * n,     where f / (f + i) = sigmoid(log f - log i)

    The gates of an LSTM without h, divided by their sum, so that h stays an average of candidates. Both are kept as
    logarithms: where both are nearly closed, the quotient itself has no finite gradient. There is no output gate. The
    paper's form that also keeps h as a logarithm is left out.
    """

    gates: ClassVar = {
        "forget": Gate(log_sigmoid, recurrent=False),
        "input": Gate(log_sigmoid, recurrent=False),
        "candidate": Gate(identity, recurrent=False),
    }
    keeping: ClassVar = {"forget": 1}
    writing: ClassVar = ("input",)

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        forget_bias: Number = 0.0,
        bias_init: ByGate | None = None,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            forget_bias: initial value of b_f; above 0, h is kept longer at first.
            bias_init: one initialiser for all biases, or a mapping from names of some gates; it takes precedence over
                `forget_bias`.
            options: the other options of `GatedCell`.
        """
        biases = overriding(bias_init, forget=constant(forget_bias))
        super().__init__(in_features, hidden_features, bias_init=biases, **options)

    def recurrence(self, gates: Gates) -> tuple[Float[Array, "*t hidden"], Float[Array, "*t hidden"]]:
        """Returns f / (f + i) and i / (f + i) * n."""
        odds = gates.forget - gates.input
        return sigmoid(odds), sigmoid(-odds) * gates.candidate
