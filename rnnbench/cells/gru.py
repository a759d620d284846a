"""The gated recurrent unit."""

from typing import ClassVar, Literal, Unpack

from jax.nn.initializers import constant
from jaxtyping import Array, Float

from rnnbench.cells.activations import sigmoid, tanh
from rnnbench.cells.base import CellOptions, GatedCell, Number
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate, overriding


class GRU(GatedCell):
    r"""GRU (Cho et al. 2014).

        r = sigmoid(x W_r + b_r + h U_r)                reset gate
        z = sigmoid(x W_z + b_z + h U_z)                update gate
        n = tanh(x W_n + b_n + r * (h U_n + c_n))       candidate, reset="after" (the matmul)
        n = tanh(x W_n + b_n + (r * h) U_n)             candidate, reset="before" (the matmul)
        h' = (1 - z) * n + z * h

    Cho et al. apply the reset gate before the matmul. cuDNN and PyTorch apply it after the matmul, with a second bias
    c_n, and so does this cell by default. `flax.nnx.GRUCell` applies it after the matmul, without c_n. Chung et
    al. (2014) write z for 1 - z.
    """

    keeping: ClassVar = {"update": 1}

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        reset: Literal["after", "before"] = "after",
        update_bias: Number = 0.0,
        bias_init: ByGate | None = None,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            reset: whether the reset gate is applied after or before the candidate's recurrent matmul.
            update_bias: initial value of b_z. It is usually 0; with 1, the cell at first keeps as much of its state as
                an LSTM with forget bias 1.
            bias_init: one initialiser for all biases, or a mapping from names of some gates; it takes precedence over
                `update_bias`.
            options: the other options of `GatedCell`.
        """
        self.reset = reset
        biases = overriding(bias_init, update=constant(update_bias))
        super().__init__(in_features, hidden_features, bias_init=biases, **options)

    @property
    def gates(self) -> dict[str, Gate]:
        """The reset and update gates, and the candidate, which the step activates: it depends on the reset gate."""
        candidate = Gate(tanh, deferred=True, recurrent_bias=self.reset == "after")
        return {"reset": Gate(sigmoid), "update": Gate(sigmoid), "candidate": candidate}

    def step(self, gates: Gates, h: Float[Array, "*b hidden"]) -> Float[Array, "*b hidden"]:
        """Returns h', given the gates and h."""
        n = gates.candidate
        if self.reset == "after":
            n = n.activate(n.from_input + gates.reset * n.from_state(h))
        else:
            n = n.activate(n.from_input + n.from_state(gates.reset * h))
        return n + gates.update * (h - n)

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns the update gate, which keeps h."""
        return {"h": gates.update}
