from typing import ClassVar

from jax import Array

from rnnbench.cells import Gate, GatedCell, Gates, sigmoid, tanh


class UpdateGateRNN(GatedCell):
    """UGRNN (Collins et al. 2017): a vanilla RNN with one gate, which decides how much of the state is kept.

    g = sigmoid(x W_g + b_g + h U_g)            update gate
    c = tanh(x W_c + b_c + h U_c)               candidate
    h' = g * h + (1 - g) * c
    """

    gates: ClassVar = {"update": Gate(sigmoid), "candidate": Gate(tanh)}

    def step(self, gates: Gates, h: Array) -> Array:
        return gates.update * h + (1 - gates.update) * gates.candidate

    def retention(self, gates: Gates) -> dict[str, Array]:
        return {"h": gates.update}
