"""Long expressive memory: two states, each with a learned time step."""

from typing import ClassVar, Unpack

from jaxtyping import Array, Float

from rnnbench.cells.activations import sigmoid, tanh
from rnnbench.cells.base import CellOptions, GatedCell, Number, zeros
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate


class LEM(GatedCell):
    r"""Long expressive memory (Rusch et al. 2022), with the paper's y as the hidden state h.

        s = dt * sigmoid(x W_s + b_s + h U_s)       time step of z
        r = dt * sigmoid(x W_r + b_r + h U_r)       time step of h
        z' = (1 - s) * z + s * tanh(x W_z + b_z + h  U_z)
        h' = (1 - r) * h + r * tanh(x W_h + b_h + z' U_h)

    The largest time step dt is the same for all units and is not trained.
    """

    states: ClassVar = ("h", "z")
    gates: ClassVar = {
        "slow": Gate(sigmoid),
        "fast": Gate(sigmoid),
        "memory": Gate(tanh),
        "candidate": Gate(tanh, deferred=True),
    }

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        dt: Number = 1.0,
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            dt: the largest time step, above 0 and at most 1.
            bias_init: one initialiser for all biases, or a mapping from names of some gates.
            options: the other options of `GatedCell`.
        """
        super().__init__(in_features, hidden_features, bias_init=bias_init, **options)
        self.dt = dt

    def step(
        self, gates: Gates, h: Float[Array, "*b hidden"], z: Float[Array, "*b hidden"]
    ) -> tuple[Float[Array, "*b hidden"], Float[Array, "*b hidden"]]:
        """Returns (h', z'), given the gates, h and z."""
        z = z + self.dt * gates.slow * (gates.memory - z)
        candidate = gates.candidate.activate(gates.candidate.from_input + gates.candidate.from_state(z))
        return h + self.dt * gates.fast * (candidate - h), z

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns 1 minus each state's time step."""
        return {"h": 1 - self.dt * gates.fast, "z": 1 - self.dt * gates.slow}
