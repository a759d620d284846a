"""A diagonal state space layer."""

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


class S4D(LinearCell):
    r"""S4D-Lin (Gu et al. 2022, "On the parameterization and initialization of diagonal state space models").

        u = x W + b                                                     one channel for each feature of h
        s'_n = exp(dt A_n) s_n + (exp(dt A_n) - 1) / A_n * u            for n = 0 .. order - 1, complex
        h' = gelu(2 Re(sum_n C_n s'_n) + D * u)                         output

        A_n = -exp(alpha_n) + i omega_n,    which starts as -1/2 + i pi n

    Each channel has its own A, C, D and step size dt: it is the differential equation s'(t) = A s(t) + u(t), solved
    exactly for a u that is constant for a time dt (a zero-order hold). dt starts log-uniformly between `dt_min` and
    `dt_max`, so a channel remembers for about 2 / dt steps. The paper mixes channels after the layer, with a gated
    linear unit; here the next layer's W, or the readout, mixes them.
    """

    states: ClassVar = ("h", "c")
    is_complex: ClassVar = True
    gates: ClassVar = {"channel": Gate(identity, recurrent=False)}

    def __init__(
        self,
        in_features: int,
        hidden_features: int,
        *,
        order: int = 16,
        dt_min: Number = 0.001,
        dt_max: Number = 0.1,
        bias_init: ByGate = zeros,
        **options: Unpack[CellOptions],
    ):
        """Creates the parameters.

        Args:
            in_features: width of the input.
            hidden_features: width of the output, and the number of channels.
            order: complex states of a channel; each stands for itself and its conjugate.
            dt_min: the least initial step size, above 0.
            dt_max: the largest initial step size, not below `dt_min`.
            bias_init: initialiser of b.
            options: the other options of `GatedCell`.

        Raises:
            ValueError: `order` is less than 1, or the step sizes are not as above.
        """
        if order < 1:
            raise ValueError(f"order: expected 1 or more, got {order}")
        if isinstance(dt_min, float) and isinstance(dt_max, float) and not 0 < dt_min <= dt_max:
            raise ValueError(f"dt_max: expected 0 < dt_min <= dt_max, got dt_min {dt_min} and dt_max {dt_max}")
        self.order = order
        super().__init__(in_features, hidden_features, bias_init=bias_init, **options)
        dtype, rngs = self.param_dtype, options["rngs"]
        shape = (hidden_features, order)
        share = jax.random.uniform(rngs.params(), (hidden_features,), dtype)
        self.log_dt = nnx.Param((jnp.log(dt_min) + share * (jnp.log(dt_max) - jnp.log(dt_min))).astype(dtype))
        self.alpha = nnx.Param(jnp.full(shape, jnp.log(0.5), dtype))
        self.omega = nnx.Param(jnp.broadcast_to(jnp.pi * jnp.arange(order, dtype=dtype), shape))
        self.readout = nnx.Param(jax.random.normal(rngs.params(), (2, *shape), dtype) * 0.5**0.5)
        self.skip = nnx.Param(jax.random.normal(rngs.params(), (hidden_features,), dtype))

    @property
    def state_features(self) -> dict[str, int]:
        """Width of each state by name: h has the channels, and c the real and imaginary parts of all states."""
        return {"h": self.hidden_features, "c": 2 * self.hidden_features * self.order}

    def discretized(self) -> tuple[Complex[Array, "hidden order"], Complex[Array, "hidden order"]]:
        """Returns exp(dt A) and (exp(dt A) - 1) / A."""
        rate = lax.complex(-jnp.exp(self.alpha[...]), self.omega[...])
        dt = jnp.exp(self.log_dt[...])[:, None]
        a = jnp.exp(lax.complex(dt * rate.real, dt * rate.imag))
        return a, (a - 1) / rate

    def recurrence(self, gates: Gates) -> tuple[Complex[Array, " states"], Complex[Array, "*t states"]]:
        """Returns exp(dt A), and what u adds to the states."""
        a, b = self.discretized()
        channel = gates.channel[..., None]
        added = lax.complex(channel * _over(b.real, channel), channel * _over(b.imag, channel))
        return a.reshape(-1), added.reshape(*channel.shape[:-2], -1)

    def output(self, gates: Gates, state: Complex[Array, "*t states"]) -> Float[Array, "*t hidden"]:
        """Returns h', given s'."""
        state = state.reshape(*gates.channel.shape, self.order)
        real, imaginary = self.readout[...]
        seen = 2 * jnp.sum(_over(real, state) * state.real - _over(imaginary, state) * state.imag, axis=-1)
        return jax.nn.gelu(seen + jnp.broadcast_to(self.skip[...], seen.shape) * gates.channel)


def _over(array: Array, like: Array) -> Array:
    """Returns an array with leading axes of length 1, so that it has as many axes as another one."""
    return array.reshape(*[1] * (like.ndim - array.ndim), *array.shape)
