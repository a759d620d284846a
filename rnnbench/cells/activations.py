"""Activations whose derivative can be read off their value, so that the unroll keeps the value alone."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Activation = Callable[[Array], Array]

sigmoid = jax.nn.sigmoid
tanh = jnp.tanh
relu = jax.nn.relu


def identity(z: Array) -> Array:
    """identity(z) = z, for linear networks."""
    return z


_SLOPES: dict[Activation, Callable[[Array], Array]] = {
    sigmoid: lambda a: a * (1 - a),
    tanh: lambda a: 1 - a * a,
    relu: lambda a: (a > 0).astype(a.dtype),
    identity: jnp.ones_like,
}
# sigmoid(z) = tanh(z / 2) / 2 + 1 / 2, so both are tanh(s z) s + o, with s and o constant per gate.
_AS_SCALED_TANH: dict[Activation, tuple[float, float]] = {sigmoid: (0.5, 0.5), tanh: (1.0, 0.0)}


class BlockActivation:
    """How several gates, side by side in one block `(batch, gates * hidden)`, are activated at once.

        gate_i = finish_i(function(scale_i z)_i)

    Sigmoid and tanh gates become one tanh over the block, `tanh(s z) s + o`: to slice the block first keeps
    XLA's CPU code from vectorising the transcendental function (an LSTM step takes twice as long). Gates
    that are all alike need no finishing; other mixtures are activated gate by gate in `finish`.

    Attributes:
        function: what goes over the block; its slope is known from its value.
        scales: what each gate's z is multiplied by before it; the caller puts them into the weights.
    """

    def __init__(self, activations: tuple[Activation, ...]):
        self.function: Activation = identity
        self.scales = [1.0] * len(activations)
        self._finish: list[Activation] = list(activations)
        if len(set(activations)) == 1 and activations[0] in _SLOPES:
            self.function = activations[0]
            self._finish = [identity] * len(activations)
        elif activations and all(a in _AS_SCALED_TANH for a in activations):
            self.function = tanh
            self.scales = [_AS_SCALED_TANH[a][0] for a in activations]
            self._finish = [functools.partial(_affine, *_AS_SCALED_TANH[a]) for a in activations]

    def split(self, block: Float[Array, "batch block"]) -> list[Float[Array, "batch hidden"]]:
        """Each gate's part of the block."""
        return jnp.split(block, len(self._finish), axis=-1) if self._finish else []

    def gates(self, swept: list[Float[Array, "batch hidden"]]) -> list[Float[Array, "batch hidden"]]:
        """The gates, from the parts of `function`'s value."""
        return [finish(part) for finish, part in zip(self._finish, swept, strict=True)]

    def gradients(
        self, swept: list[Float[Array, "batch hidden"]], gradients: list[Float[Array, "batch hidden"]]
    ) -> list[Float[Array, "batch hidden"]]:
        """Gradients with respect to each gate's scaled z, from those with respect to the gates."""
        slope = _SLOPES[self.function]
        return [
            jax.vjp(finish, part)[1](gradient)[0] * slope(part)
            for finish, part, gradient in zip(self._finish, swept, gradients, strict=True)
        ]


def _affine(scale: float, offset: float, x: Array) -> Array:
    return x * scale + offset
