"""The independently recurrent network: each unit sees only its own past."""

from typing import Literal, Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from rnnbench.cells.activations import ACTIVATIONS
from rnnbench.cells.base import CellOptions, GatedCell, zeros
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate, Initializer

uniform_to_one = jax.nn.initializers.uniform(1.0)


class IndRNN(GatedCell):
    r"""IndRNN (Li et al. 2018, "Independently recurrent neural network").

        h' = f(x W + b + u * h)

    The vector u replaces the recurrent kernel, so dh_t/dh_s is diagonal: with ReLU, a unit that stays active keeps u^n
    of its gradient over n steps. Units see each other in the next layer only. The paper also clips u to a range that
    depends on the length of the sequences; this cell leaves that to the optimizer.
    """

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        activation: Literal["relu", "tanh", "identity"] = "relu",
        recurrent_init: Initializer = uniform_to_one,
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the hidden state.
            activation: f.
            recurrent_init: initialiser of u; by default uniform from 0 to 1, so that the units differ in how long they
                remember.
            bias_init: initialiser of b.
            options: the other options of `GatedCell`.
        """
        self.activation = activation
        super().__init__(in_features, hidden_features, bias_init=bias_init, **options)
        self.recurrent_weight = nnx.Param(
            recurrent_init(options["rngs"].params(), (hidden_features,), self.param_dtype)
        )

    @property
    def gates(self) -> dict[str, Gate]:
        """The only gate, which sees the input; the step adds each unit's own past."""
        return {"hidden": Gate(ACTIVATIONS[self.activation], recurrent=False, deferred=True)}

    def step(self, gates: Gates, h: Float[Array, "*b hidden"]) -> Float[Array, "*b hidden"]:
        """Returns h', given the gate's drive and h."""
        z = gates.hidden.from_input + jnp.broadcast_to(self.recurrent_weight[...], h.shape) * h
        return gates.hidden.activate(z)
