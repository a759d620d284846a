"""The minimal GRU, whose gates see the input alone."""

from typing import ClassVar

from jaxtyping import Array, Float

from rnnbench.cells.activations import identity, sigmoid
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.linear import LinearCell


class MinGRU(LinearCell):
    r"""minGRU (Feng et al. 2024, "Were RNNs all we needed?").

        z = sigmoid(x W_z + b_z)        update gate
        n = x W_n + b_n                 candidate
        h' = (1 - z) * h + z * n

    The gates of a GRU without h, and so without a reset gate; z is 1 minus the z of `GRU`. The paper's second form,
    which keeps h positive to compute in the space of logarithms, is left out.
    """

    gates: ClassVar = {"update": Gate(sigmoid, recurrent=False), "candidate": Gate(identity, recurrent=False)}
    keeping: ClassVar = {"update": -1}

    def recurrence(self, gates: Gates) -> tuple[Float[Array, "*t hidden"], Float[Array, "*t hidden"]]:
        """Returns 1 - z and z * n."""
        return 1 - gates.update, gates.update * gates.candidate
