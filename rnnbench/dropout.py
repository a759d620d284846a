"""Dropout: what a training step leaves out of a model, so that no unit can rely on another."""

from typing import Any, NamedTuple, cast

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Key, PRNGKeyArray


class Dropout(NamedTuple):
    """What a training step drops. Whatever is kept is divided by the share that is kept.

    Attributes:
        keys: the key of each example, from which its outputs are dropped.
        rate: share of each layer's outputs that is dropped on the way to the next layer or the readout, at every step
            anew (Zaremba et al. 2014); None if nothing is.
        recurrent_key: the key from which recurrent weights are dropped.
        recurrent_rate: share of the recurrent weights that is dropped, the same in all steps and examples (DropConnect,
            Merity et al. 2018); None if nothing is.
    """

    keys: Key[Array, " batch"]
    rate: float | Float[Array, ""] | None
    recurrent_key: PRNGKeyArray
    recurrent_rate: float | Float[Array, ""] | None

    def cell(self, cell: nnx.RNNCellBase, layer: int) -> nnx.RNNCellBase:
        """Returns a layer's cell without some of its recurrent weights."""
        if self.recurrent_rate is None:
            return cell
        cell = nnx.clone(cell)
        kernel = cast(Any, cell).recurrent_kernel
        key = jax.random.fold_in(self.recurrent_key, layer)
        kernel[...] = _dropped(
            kernel[...], jax.random.bernoulli(key, 1 - self.recurrent_rate, kernel.shape), self.recurrent_rate
        )
        return cell

    def output(self, z: Float[Array, "*time batch hidden"], layer: int) -> Float[Array, "*time batch hidden"]:
        """Returns a layer's output without some of its numbers."""
        if self.rate is None:
            return z
        shape = (*z.shape[:-2], z.shape[-1])
        keys = jax.vmap(lambda key: jax.random.fold_in(key, layer))(self.keys)
        kept = jax.vmap(lambda key: jax.random.bernoulli(key, 1 - cast(Any, self.rate), shape), out_axes=-2)(keys)
        return _dropped(z, kept, self.rate)


def _dropped(x: Float[Array, "*x"], kept: Bool[Array, "*x"], rate: float | Float[Array, ""]) -> Float[Array, "*x"]:
    return jnp.where(kept, x / (1 - rate), 0.0).astype(x.dtype)


def check_dropout(cell: nnx.RNNCellBase, recurrent_rate: float) -> None:
    """Checks that a cell has recurrent weights to drop.

    Raises:
        ValueError: it has none, and some are to be dropped.
    """
    if recurrent_rate and getattr(cell, "recurrent_kernel", None) is None:
        raise ValueError(
            f"recurrent_dropout: expected 0 for a cell without a recurrent kernel, such as {type(cell).__name__}, got "
            f"{recurrent_rate}"
        )
