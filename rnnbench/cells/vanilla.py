"""The vanilla (Elman) recurrent network."""

from typing import Literal, Unpack

from jaxtyping import Array, Float

from rnnbench.cells.activations import ACTIVATIONS
from rnnbench.cells.base import CellOptions, GatedCell, zeros
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate


class VanillaRNN(GatedCell):
    r"""Vanilla RNN (Elman 1990, "Finding structure in time").

        h_t = f(x_t W + b + h_{t-1} U)

    where f is tanh, relu or the identity. With `activation="relu"` and
    `recurrent_kernel_init=rnnbench.cells.identity_matrix` it is the IRNN of Le et al. (2015). With the identity it is
    a linear network, whose gradient is known in closed form.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        activation: Literal["tanh", "relu", "identity"] = "tanh",
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            activation: f.
            bias_init: initialiser of b.
            options: the other options of `GatedCell`.
        """
        self.activation = activation
        super().__init__(in_features, hidden_features, bias_init=bias_init, **options)

    @property
    def gates(self) -> dict[str, Gate]:
        """The only gate, named after the hidden state that it becomes."""
        return {"hidden": Gate(ACTIVATIONS[self.activation])}

    def step(self, gates: Gates, h: Float[Array, "*b hidden"]) -> Float[Array, "*b hidden"]:
        """Returns h_t, which is the activated gate itself."""
        del h
        return gates.hidden
