"""Activations whose derivative can be read off their value, so that the unroll keeps the value alone."""

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
    """Activates several gates, side by side in one block `(batch, gates * hidden)`, at once.

    Slicing the block before the transcendental functions keeps XLA's CPU code from vectorising them
    (measured: an LSTM step takes twice as long), so sigmoid and tanh gates are activated in one sweep as
    `tanh(s z) s + o`. Other mixtures are activated gate by gate.

    Attributes:
        invertible: whether `slope` knows every gate's derivative from the activated value.
    """

    def __init__(self, activations: tuple[Activation, ...], hidden: int):
        self._activations = activations or (identity,)  # a cell may have no gate to activate here
        self._hidden = hidden
        self._uniform = len(set(activations)) <= 1
        self._scaled_tanh = not self._uniform and all(a in _AS_SCALED_TANH for a in activations)
        self.invertible = all(a in _SLOPES for a in activations)

    def _per_column(self, values: list[float], like: Array) -> Float[Array, "1 block"]:
        return jnp.repeat(jnp.asarray(values, like.dtype), self._hidden)[None]

    def _gate_by_gate(self, functions: list[Callable[[Array], Array]], block: Array) -> Array:
        parts = jnp.split(block, len(functions), axis=-1)
        return jnp.concatenate([f(part) for f, part in zip(functions, parts, strict=True)], axis=-1)

    def __call__(self, z: Float[Array, "batch block"]) -> Float[Array, "batch block"]:
        """The activated block."""
        if self._uniform:
            return self._activations[0](z)
        if self._scaled_tanh:
            scale, offset = self._scale_and_offset(z)
            return jnp.tanh(z * scale) * scale + offset
        return self._gate_by_gate(list(self._activations), z)

    def slope(self, a: Float[Array, "batch block"]) -> Float[Array, "batch block"]:
        """d activated / d z, from the activated block."""
        if self._uniform:
            return _SLOPES[self._activations[0]](a)
        if self._scaled_tanh:
            scale, offset = self._scale_and_offset(a)
            return scale * scale - (a - offset) ** 2
        return self._gate_by_gate([_SLOPES[f] for f in self._activations], a)

    def _scale_and_offset(self, like: Array) -> tuple[Array, Array]:
        scales, offsets = zip(*(_AS_SCALED_TANH[f] for f in self._activations), strict=True)
        return self._per_column(list(scales), like), self._per_column(list(offsets), like)
