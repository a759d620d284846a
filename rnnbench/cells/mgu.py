"""The minimal gated unit."""

from typing import ClassVar

from jaxtyping import Array, Float

from rnnbench.cells.activations import sigmoid, tanh
from rnnbench.cells.base import GatedCell
from rnnbench.cells.gates import Gate, Gates


class MGU(GatedCell):
    r"""Minimal gated unit (Zhou et al. 2016): a GRU whose one gate both resets and updates.

    f = sigmoid(x W_f + b_f + h U_f)            forget gate
    n = tanh(x W_n + b_n + (f * h) U_n)         candidate
    h' = (1 - f) * h + f * n
    """

    gates: ClassVar = {"forget": Gate(sigmoid), "candidate": Gate(tanh, deferred=True)}
    keeping: ClassVar = {"forget": -1}

    def step(self, gates: Gates, h: Float[Array, "*b hidden"]) -> Float[Array, "*b hidden"]:
        """Returns h', given the gates and h."""
        f, n = gates.forget, gates.candidate
        n = n.activate(n.from_input + n.from_state(f * h))
        return h + f * (n - h)

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns 1 minus the forget gate."""
        return {"h": 1 - gates.forget}
