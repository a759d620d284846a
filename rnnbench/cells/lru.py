"""The linear recurrent unit: a complex, diagonal recurrence."""

from typing import ClassVar, Unpack

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Complex, Float

from rnnbench.cells.activations import identity
from rnnbench.cells.base import CellOptions, Number, zeros
from rnnbench.cells.gates import Gate, Gates
from rnnbench.cells.initializers import ByGate
from rnnbench.cells.linear import LinearCell

# Real and imaginary parts share the variance 1 / in_features.
complex_normal = jax.nn.initializers.variance_scaling(0.5, "fan_in", "normal")


class LRU(LinearCell):
    r"""Linear recurrent unit (Orvieto et al. 2023, "Resurrecting recurrent neural networks for long sequences").

        u = x W_re + b_re + i (x W_im + b_im)           input
        s' = lambda * s + gamma * u                     state, complex
        h' = gelu(Re(s' C) + x D + d)                   output

        lambda = exp(-exp(nu) + i exp(theta)),          so |lambda| < 1 whatever nu is

    lambda starts uniformly on the ring r_min <= |lambda| <= r_max with angles up to `max_phase`, and gamma at
    sqrt(1 - |lambda|^2), at which s has about the variance of u. The recurrence mixes nothing and squashes nothing: a
    layer needs the next one, or the readout, for that. The paper's block has a GELU and a gated linear unit after each
    layer; here only the GELU is part of the cell.
    """

    states: ClassVar = ("h", "c")
    is_complex: ClassVar = True
    gates: ClassVar = {
        "real": Gate(identity, recurrent=False),
        "imaginary": Gate(identity, recurrent=False),
        "skip": Gate(identity, recurrent=False),
    }

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        r_min: Number = 0.9,
        r_max: Number = 0.999,
        max_phase: Number = 6.283,
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the output, and the number of complex states.
            r_min: the least initial |lambda|, 0 or more.
            r_max: the largest initial |lambda|, above `r_min` and below 1.
            max_phase: the largest initial angle of lambda, in radians.
            bias_init: one initialiser for all biases, or a mapping from names of some gates.
            options: the other options of `GatedCell`.

        Raises:
            ValueError: the ring or the angle is not as above.
        """
        # Traced numbers have been checked as plain ones for every run.
        if isinstance(r_min, float) and isinstance(r_max, float) and not 0 <= r_min < r_max < 1:
            raise ValueError(f"r_max: expected 0 <= r_min < r_max < 1, got r_min {r_min} and r_max {r_max}")
        if isinstance(max_phase, float) and not max_phase > 0:
            raise ValueError(f"max_phase: expected more than 0, got {max_phase}")
        kernels = dict.fromkeys(("real", "imaginary"), complex_normal)
        given: CellOptions = {"kernel_init": kernels, **options}
        super().__init__(in_features, hidden_features, bias_init=bias_init, **given)
        dtype, rngs = self.param_dtype, options["rngs"]
        radius, angle = jax.random.uniform(rngs.params(), (2, hidden_features), dtype, 1e-4)
        squared = radius * (r_max**2 - r_min**2) + r_min**2
        self.nu = nnx.Param(jnp.log(-0.5 * jnp.log(squared)).astype(dtype))
        self.theta = nnx.Param(jnp.log(max_phase * angle).astype(dtype))
        self.log_gamma = nnx.Param((0.5 * jnp.log1p(-squared)).astype(dtype))
        # Real and imaginary parts of C, the latter with the sign that Re(s C) gives them.
        scale = hidden_features**-0.5
        self.readout = nnx.Param(
            scale * jax.random.normal(rngs.params(), (2 * hidden_features, hidden_features), dtype)
        )

    @property
    def eigenvalues(self) -> Complex[Array, " hidden"]:
        """Returns lambda."""
        radius, angle = jnp.exp(-jnp.exp(self.nu[...])), jnp.exp(self.theta[...])
        return lax.complex(radius * jnp.cos(angle), radius * jnp.sin(angle))

    def recurrence(self, gates: Gates) -> tuple[Complex[Array, " hidden"], Complex[Array, "*t hidden"]]:
        """Returns lambda and gamma * u."""
        gamma = jnp.broadcast_to(jnp.exp(self.log_gamma[...]), gates.real.shape)
        return self.eigenvalues, lax.complex(gamma * gates.real, gamma * gates.imaginary)

    def output(self, gates: Gates, state: Complex[Array, "*t hidden"]) -> Float[Array, "*t hidden"]:
        """Returns h', given s'."""
        return jax.nn.gelu(self.as_stored(state) @ self.readout[...] + gates.skip)
