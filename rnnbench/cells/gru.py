"""The gated recurrent unit."""

from typing import Annotated, Literal, Unpack

from jax.nn.initializers import constant
from jaxtyping import Array, Float

from rnnbench.cells.activations import sigmoid, tanh
from rnnbench.cells.base import CellOptions, GatedCell
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate, overriding
from rnnbench.config.annotations import FOLDABLE


class GRU(GatedCell):
    r"""GRU (Cho et al. 2014).

        r = sigmoid(x W_r + b_r + h U_r)                reset gate
        z = sigmoid(x W_z + b_z + h U_z)                update gate
        n = tanh(x W_n + b_n + r * (h U_n + c_n))       candidate, reset="after" (the matmul)
        n = tanh(x W_n + b_n + (r * h) U_n)             candidate, reset="before" (the matmul)
        h' = (1 - z) * n + z * h

    Cho et al. reset before the matmul; cuDNN and PyTorch reset after it, with a second bias c_n, and so does
    this cell by default. `flax.nnx.GRUCell` resets after it and has no c_n. Cho et al. write z for 1 - z.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        reset: Literal["after", "before"] = "after",
        update_bias: Annotated[float | Float[Array, ""], FOLDABLE] = 0.0,
        bias_init: ByGate | None = None,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            reset: whether the reset gate applies after or before the candidate's recurrent matmul.
            update_bias: b_z at the start: 0 as a rule; 1 keeps as much of the state from the start as an LSTM
                with forget bias 1 does.
            bias_init: initialiser of the biases, or those of some by gate; wins over `update_bias`.
            options: the others of `GatedCell`.
        """
        self.reset = reset
        biases = overriding(bias_init, update=constant(update_bias))
        super().__init__(in_features, hidden_features, bias_init=biases, **options)

    @property
    def gates(self) -> dict[str, Gate]:
        """Reset and update reach the step activated; the candidate waits for the reset gate."""
        candidate = Gate(tanh, deferred=True, recurrent_bias=self.reset == "after")
        return {"reset": Gate(sigmoid), "update": Gate(sigmoid), "candidate": candidate}

    def step(self, gates: Gates, h: Float[Array, "*b hidden"]) -> Float[Array, "*b hidden"]:
        """h' from the gates and h."""
        n = gates.candidate
        if self.reset == "after":
            n = n.activate(n.from_input + gates.reset * n.from_state(h))
        else:
            n = n.activate(n.from_input + n.from_state(gates.reset * h))
        return n + gates.update * (h - n)

    def retention(self, gates: Gates) -> dict[str, Array]:
        """The update gate keeps h."""
        return {"h": gates.update}
