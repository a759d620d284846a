"""The coupled oscillatory network."""

from typing import ClassVar, Unpack

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from rnnbench.cells.activations import tanh
from rnnbench.cells.base import CellOptions, GatedCell, Number, orthogonal, zeros
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate


class CoRNN(GatedCell):
    r"""coRNN (Rusch & Mishra 2021), with the paper's y as the hidden state h and its velocity z.

        z' = z + dt * (tanh(x W + b + h U + z V) - gamma * h - epsilon * z)
        h' = h + dt * z'

    One step of length dt for oscillators with frequency sqrt(gamma), damped by epsilon and coupled by U and V. None of
    the three numbers is trained. If dt is small, no gradient with respect to h explodes or vanishes exponentially.
    """

    states: ClassVar = ("h", "z")
    gates: ClassVar = {"force": Gate(tanh, deferred=True)}

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        dt: Number = 0.042,
        gamma: Number = 2.7,
        epsilon: Number = 4.7,
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters. The default numbers are those of the paper for sequential MNIST.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            dt: length of a step.
            gamma: squared frequency of the oscillators.
            epsilon: damping of the oscillators.
            bias_init: initialiser of b.
            options: the other options of `GatedCell`.
        """
        super().__init__(in_features, hidden_features, bias_init=bias_init, **options)
        shape = (hidden_features, hidden_features)
        self.velocity_kernel = nnx.Param(
            orthogonal(options["rngs"].params(), shape, jnp.float32).astype(self.param_dtype)
        )
        self.dt, self.gamma, self.epsilon = dt, gamma, epsilon

    def step(
        self, gates: Gates, h: Float[Array, "*b hidden"], z: Float[Array, "*b hidden"]
    ) -> tuple[Float[Array, "*b hidden"], Float[Array, "*b hidden"]]:
        """Returns (h', z'), given the gate's drive, h and z."""
        force = gates.force
        pulled = force.activate(force.from_input + force.from_state(h) + z @ self.velocity_kernel[...])
        z = z + self.dt * (pulled - self.gamma * h - self.epsilon * z)
        return h + self.dt * z, z
