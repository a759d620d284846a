"""The structurally constrained recurrent network."""

from typing import ClassVar, Unpack

import jax.numpy as jnp
from jaxtyping import Array, Float

from rnnbench.cells.activations import identity, sigmoid
from rnnbench.cells.base import CellOptions, GatedCell, Number, zeros
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate


class SCRN(GatedCell):
    r"""Structurally constrained recurrent network (Mikolov et al. 2015, "Learning longer memory in RNNs").

        s' = alpha * s + (1 - alpha) * (x W_s + b_s)            context
        h' = sigmoid(x W_h + b_h + h U_h + s' U_s)              hidden

    The context is a leaky average of the input, with a share alpha that all units have in common and that is not
    trained: its gradient fades by alpha a step, whatever the weights are. In the paper the readout also sees s', and
    the context has no bias and a width of its own; here it is as wide as h.
    """

    states = ("h", "s")
    gates: ClassVar = {"context": Gate(identity, deferred=True), "hidden": Gate(sigmoid, deferred=True)}

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        alpha: Number = 0.95,
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state, and of the context.
            alpha: the share of the context that a step keeps, 0 or more and below 1.
            bias_init: one initialiser for all biases, or a mapping from names of some gates.
            options: the other options of `GatedCell`.

        Raises:
            ValueError: `alpha` is not as above.
        """
        if isinstance(alpha, float) and not 0 <= alpha < 1:
            raise ValueError(f"alpha: expected 0 or more and less than 1, got {alpha}")
        super().__init__(in_features, hidden_features, bias_init=bias_init, **options)
        self.alpha = alpha

    def step(
        self, gates: Gates, h: Float[Array, "*b hidden"], s: Float[Array, "*b hidden"]
    ) -> tuple[Float[Array, "*b hidden"], Float[Array, "*b hidden"]]:
        """Returns (h', s'), given the gates, h and s."""
        context, hidden = gates.context, gates.hidden
        written = context.activate(context.from_input)
        s = written + self.alpha * (s - written)
        return hidden.activate(hidden.from_input + hidden.from_state(h) + context.from_state(s)), s

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns alpha for every unit."""
        return {"s": jnp.full_like(gates.context, self.alpha)}
