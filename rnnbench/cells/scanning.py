"""Scans over time, as both unrolls use them: in chunks, with rematerialisation, and over padded steps."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

Inputs = Float[Array, "time batch features"]
Mask = Bool[Array, "time batch"]
Hidden = Float[Array, "*time batch hidden"]

Scan = Callable[[PyTree, PyTree], tuple[PyTree, PyTree]]


def remat(scan: Scan, first: PyTree, xs: PyTree, every: int | None) -> tuple[PyTree, PyTree]:
    """Returns `scan(first, xs)`; its gradient stores only every `every`-th carry. None stores everything."""
    if every is None or every >= len(jax.tree.leaves(xs)[0]):
        return scan(first, xs)
    return in_chunks(jax.checkpoint(scan, prevent_cse=False), first, xs, every)


def in_chunks(scan: Scan, first: PyTree, xs: PyTree, every: int) -> tuple[PyTree, PyTree]:
    """Returns `scan(first, xs)`, computed as a scan over chunks of `every` steps."""
    steps = len(jax.tree.leaves(xs)[0])
    if every >= steps:
        return scan(first, xs)
    count = steps // every
    chunks = jax.tree.map(lambda x: x[: count * every].reshape(count, every, *x.shape[1:]), xs)
    carry, ys = lax.scan(scan, first, chunks)
    ys = jax.tree.map(lambda y: y.reshape(count * every, *y.shape[2:]), ys)
    if steps % every == 0:
        return carry, ys
    carry, rest = scan(carry, jax.tree.map(lambda x: x[count * every :], xs))
    return carry, jax.tree.map(lambda *parts: jnp.concatenate(parts), ys, rest)


def hold(mask: Bool[Array, "*axes"] | None, new: PyTree, last: PyTree) -> PyTree:
    """Returns `new` where the mask is True, else `last`. The axes of the mask are the first axes of every leaf."""
    if mask is None:
        return new
    return jax.tree.map(lambda n, o: jnp.where(mask.reshape(*mask.shape, *[1] * (n.ndim - mask.ndim)), n, o), new, last)
