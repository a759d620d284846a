"""The leaky-integrator recurrent network."""

from typing import Literal, Unpack

import jax.numpy as jnp
from jaxtyping import Array, Float

from rnnbench.cells.activations import ACTIVATIONS
from rnnbench.cells.base import CellOptions, GatedCell, Number, zeros
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate


class LeakyRNN(GatedCell):
    r"""Vanilla RNN of leaky integrators (Jaeger et al. 2007; as a trained network, Song et al. 2016).

        h' = (1 - a) * h + a * f(x W + b + h U)

    The leak a is the same for all units and is not trained. It is the step over the time constant of dh/dt: what is not
    written again fades to a share of (1 - a)^n over n steps. With a = 1 this is the vanilla RNN.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        leak: Number = 0.1,
        activation: Literal["tanh", "relu", "identity"] = "tanh",
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            leak: a, above 0 and at most 1.
            activation: f.
            bias_init: initialiser of b.
            options: the other options of `GatedCell`.
        """
        self.activation = activation
        super().__init__(in_features, hidden_features, bias_init=bias_init, **options)
        self.leak = leak

    @property
    def gates(self) -> dict[str, Gate]:
        """The only gate, towards which h moves."""
        return {"candidate": Gate(ACTIVATIONS[self.activation])}

    def step(self, gates: Gates, h: Float[Array, "*b hidden"]) -> Float[Array, "*b hidden"]:
        """Returns h', given the activated gate and h."""
        return h + self.leak * (gates.candidate - h)

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns 1 - a for every unit."""
        return {"h": jnp.full_like(gates.candidate, 1 - self.leak)}
