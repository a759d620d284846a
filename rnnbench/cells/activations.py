"""Activations whose derivative can be computed from their value, so that the unroll stores only the value."""

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
    """Returns identity(z) = z, for linear networks."""
    return z


ACTIVATIONS: dict[str, Activation] = {"tanh": tanh, "relu": relu, "identity": identity}
"""The activations that cells without gates offer, by name."""

_SLOPES: dict[Activation, Callable[[Array], Array]] = {
    sigmoid: lambda a: a * (1 - a),
    tanh: lambda a: 1 - a * a,
    relu: lambda a: (a > 0).astype(a.dtype),
    identity: jnp.ones_like,
}
# sigmoid(z) = tanh(z / 2) / 2 + 1 / 2, so both have the form tanh(s z) s + o, where s and o are constants of the gate.
_AS_SCALED_TANH: dict[Activation, tuple[float, float]] = {sigmoid: (0.5, 0.5), tanh: (1.0, 0.0)}


class BlockActivation:
    """The activation of several gates at once, side by side in one block `(batch, gates * hidden)`.

        gate_i = finish_i(function(scale_i z)_i)

    Sigmoid and tanh gates become one tanh over the block, `tanh(s z) s + o`. Slicing the block first would stop XLA
    from vectorising the transcendental function on a CPU (an LSTM step would take twice as long). Gates that all have
    the same activation need no `finish`; in any other mixture, `finish` does the whole activation of each gate.

    Attributes:
        function: the function applied to the whole block. Its slope can be computed from its value.
        scales: the factor by which each gate's z is multiplied first. The caller multiplies the weights by it.
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
        """Returns each gate's part of the block."""
        return jnp.split(block, len(self._finish), axis=-1) if self._finish else []

    def gates(self, activated: list[Float[Array, "batch hidden"]]) -> list[Float[Array, "batch hidden"]]:
        """Returns the gates, given the parts of `function`'s value."""
        return [finish(part) for finish, part in zip(self._finish, activated, strict=True)]

    def gradients(
        self, activated: list[Float[Array, "batch hidden"]], gradients: list[Float[Array, "batch hidden"]]
    ) -> list[Float[Array, "batch hidden"]]:
        """Returns the gradients with respect to each gate's scaled z, given those with respect to the gates."""
        slope = _SLOPES[self.function]
        return [
            jax.vjp(finish, part)[1](gradient)[0] * slope(part)
            for finish, part, gradient in zip(self._finish, activated, gradients, strict=True)
        ]


def _affine(scale: float, offset: float, x: Array) -> Array:
    return x * scale + offset
