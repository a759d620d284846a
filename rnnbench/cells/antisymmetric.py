"""The antisymmetric network, whose recurrent kernel neither amplifies nor damps."""

from typing import ClassVar, Unpack

import jax.numpy as jnp
from jaxtyping import Array, Float

from rnnbench.cells.activations import tanh
from rnnbench.cells.base import CellOptions, GatedCell, Number, zeros
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate


class AntisymmetricRNN(GatedCell):
    r"""Antisymmetric RNN (Chang et al. 2019, equation 9).

        h' = h + epsilon * tanh(x W + b + h (U - U^T - gamma I))

    One step of length epsilon for the differential equation dh/dt = tanh(...). The eigenvalues of an antisymmetric
    matrix are imaginary, so the equation itself keeps the gradient; gamma damps it a little, which the finite step
    needs to be stable.
    """

    gates: ClassVar = {"change": Gate(tanh)}

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        epsilon: Number = 0.1,
        gamma: Number = 0.01,
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            epsilon: length of a step.
            gamma: damping.
            bias_init: initialiser of b.
            options: the other options of `GatedCell`.
        """
        super().__init__(in_features, hidden_features, bias_init=bias_init, **options)
        self.epsilon, self.gamma = epsilon, gamma

    def effective(self, kernel: Float[Array, "hidden hidden"]) -> Float[Array, "hidden hidden"]:
        """Returns U - U^T - gamma I."""
        return kernel - kernel.T - self.gamma * jnp.eye(len(kernel), dtype=kernel.dtype)

    def step(self, gates: Gates, h: Float[Array, "*b hidden"]) -> Float[Array, "*b hidden"]:
        """Returns h', given the activated gate and h."""
        return h + self.epsilon * gates.change
