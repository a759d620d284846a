"""The simple recurrent unit."""

from typing import ClassVar

from jaxtyping import Array, Float

from rnnbench.cells.activations import identity, sigmoid, tanh
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.linear import LinearCell


class SRU(LinearCell):
    r"""Simple recurrent unit (Lei et al. 2018, in its first form of 2017, without c in the gates).

        f = sigmoid(x W_f + b_f)        forget gate
        r = sigmoid(x W_r + b_r)        reset gate
        n = x W_n + b_n                 candidate
        c' = f * c + (1 - f) * n
        h' = r * tanh(c') + (1 - r) * (x W_x + b_x)

    The paper adds x itself where its width is that of h; here it is always projected.
    """

    states: ClassVar = ("h", "c")
    gates: ClassVar = {
        "forget": Gate(sigmoid, recurrent=False),
        "reset": Gate(sigmoid, recurrent=False),
        "candidate": Gate(identity, recurrent=False),
        "skip": Gate(identity, recurrent=False),
    }
    keeping: ClassVar = {"forget": 1}

    def recurrence(self, gates: Gates) -> tuple[Float[Array, "*t hidden"], Float[Array, "*t hidden"]]:
        """Returns f and (1 - f) * n."""
        return gates.forget, (1 - gates.forget) * gates.candidate

    def output(self, gates: Gates, state: Float[Array, "*t hidden"]) -> Float[Array, "*t hidden"]:
        """Returns h', given c'."""
        return gates.skip + gates.reset * (tanh(state) - gates.skip)
