"""Which parameters weight decay applies to."""

from collections.abc import Callable

import jax
from jaxtyping import PyTree


def weights_only() -> Callable[[PyTree], PyTree]:
    """Returns a mask for optax: True for parameters with two axes or more, False for vectors.

    Weight decay keeps kernels and embeddings small. A bias or a gain need not be near 0, and a forget bias must not be.
    """
    return lambda params: jax.tree.map(lambda leaf: leaf.ndim >= 2, params)
