"""Initialisers of the recurrent literature that `jax.nn.initializers` lacks."""

from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from rnnbench.cells.base import Initializer


def constant(value: float | Float[Array, ""]) -> Initializer:
    """Every entry is `value`, which may be a traced number."""

    def init(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        del key
        return jnp.full(shape, value, dtype)

    return init


def identity_matrix(
    key: PRNGKeyArray, shape: tuple[int, int], dtype: Any = jnp.float32
) -> Float[Array, "rows columns"]:
    """The identity, as the recurrent kernel of the IRNN (Le et al. 2015)."""
    del key
    return jnp.eye(*shape, dtype=dtype)


def chrono(longest: float) -> dict[str, Initializer]:
    """Biases of an LSTM for memories of 1 to `longest` steps (Tallec & Ollivier 2018, section 3).

        b_f = log u,  b_i = -b_f,  u = 1 + (k + 1/2) / hidden * (longest - 2)  for unit k = 0, 1, ...

    The paper draws u from U(1, longest - 1); since units are exchangeable, its quantiles stand for the draw,
    so that both biases agree without sharing a key. A forget gate with bias b_f alone keeps its cell for
    about 1 / (1 - f) = 1 + u steps.

    Args:
        longest: T_max, the longest dependency in steps, above 2.

    Returns:
        `bias_init` for `rnnbench.cells.LSTM`.

    Raises:
        ValueError: `longest` is not above 2.
    """
    if not longest > 2:
        raise ValueError(f"chrono needs a longest dependency above 2 steps, got {longest}")

    def forget(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        del key
        (hidden,) = shape
        return jnp.log(1 + (jnp.arange(hidden, dtype=dtype) + 0.5) / hidden * (longest - 2))

    return {"forget": forget, "input": lambda *arguments: -forget(*arguments)}
