from typing import ClassVar

from jax import Array

from rnnbench.cells import Gate, GatedCell, Gates, sigmoid, tanh


class MinimalGatedUnit(GatedCell):
    """Minimal gated unit (Zhou et al. 2016): a GRU whose one gate both resets and updates.

    f = sigmoid(x W_f + b_f + h U_f)            forget gate
    n = tanh(x W_n + b_n + (f * h) U_n)         candidate
    h' = (1 - f) * h + f * n
    """

    gates: ClassVar = {"forget": Gate(sigmoid), "candidate": Gate(tanh, deferred=True)}

    def step(self, gates: Gates, h: Array) -> Array:
        f, n = gates.forget, gates.candidate
        n = n.activate(n.from_input + n.from_state(f * h))
        return (1 - f) * h + f * n

    def retention(self, gates: Gates) -> dict[str, Array]:
        return {"h": 1 - gates.forget}
