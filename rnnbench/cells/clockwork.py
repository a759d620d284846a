"""The clockwork RNN: groups of units that run at different speeds."""

from collections.abc import Sequence
from typing import ClassVar, Unpack

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from rnnbench.cells.activations import tanh
from rnnbench.cells.base import CellOptions, GatedCell, zeros
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate


class ClockworkRNN(GatedCell):
    r"""Clockwork RNN (Koutnik et al. 2014).

        h'_k = tanh(x W + b + h U)_k        if the step's number is a multiple of the period of unit k
        h'_k = h_k                          otherwise

    The units are divided into equal groups, one for each period. A group sees itself and the groups with longer
    periods: U has zeros from faster to slower units. The number of the step, t = 0, 1, ..., is a state.
    """

    states: ClassVar = ("h", "t")
    gates: ClassVar = {"candidate": Gate(tanh)}

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        periods: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128),
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state, with at least one unit for each period.
            periods: the period of each group, in steps, in increasing order.
            bias_init: initialiser of b.
            options: the other options of `GatedCell`.

        Raises:
            ValueError: the periods are not positive and increasing, or there are more of them than units.
        """
        if not periods or list(periods) != sorted({*periods}) or periods[0] < 1:
            raise ValueError(f"periods: expected positive, increasing numbers of steps, got {list(periods)}")
        if len(periods) > hidden_features:
            raise ValueError(f"periods: expected at most one for each of {hidden_features} units, got {len(periods)}")
        of_unit = np.asarray(periods)[np.arange(hidden_features) * len(periods) // hidden_features]
        self.periods = tuple(of_unit.tolist())
        super().__init__(in_features, hidden_features, bias_init=bias_init, **options)

    @property
    def state_features(self) -> dict[str, int]:
        """Width of each state by name: t is one number."""
        return {"h": self.hidden_features, "t": 1}

    def effective(self, kernel: Float[Array, "hidden hidden"]) -> Float[Array, "hidden hidden"]:
        """Returns U without what faster units would tell slower ones."""
        periods = np.asarray(self.periods)
        return jnp.where(periods[:, None] >= periods[None, :], kernel, jnp.zeros_like(kernel))

    def step(
        self, gates: Gates, h: Float[Array, "*b hidden"], t: Float[Array, "*b 1"]
    ) -> tuple[Float[Array, "*b hidden"], Float[Array, "*b 1"]]:
        """Returns (h', t + 1), given the activated gate, h and t."""
        due = jnp.mod(t, jnp.broadcast_to(jnp.asarray(self.periods, t.dtype), h.shape)) < 1
        return jnp.where(due, gates.candidate, h), t + 1
