"""Initialisers: how a cell takes them, and those of the recurrent literature that `jax.nn.initializers` lacks."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Initializer = Callable[..., Array]
"""`(key, shape, dtype)` to an array, as those of `jax.nn.initializers`."""

ByGate = Initializer | Mapping[str, Initializer]
"""One initialiser for all gates, or one for each of some by name."""


def by_gate(argument: str, given: ByGate, gates: Collection[str], default: Initializer) -> dict[str, Initializer]:
    """Returns the initialiser of every gate.

    Args:
        argument: what a message calls `given`.
        given: one for all gates, or those of some by name.
        gates: names of the gates that have what is initialised.
        default: for the gates that `given` does not name.

    Raises:
        ValueError: `given` names a gate that is not there, or holds what is no initialiser.
    """
    each = given if isinstance(given, Mapping) else dict.fromkeys(gates, given)
    for gate, init in each.items():
        if gate not in gates:
            from rnnbench.config.messages import did_you_mean  # brings Hydra, which a cell does without

            raise ValueError(
                f"{argument}: {gate!r} is none of the gates that have one, which are "
                f"{', '.join(gates) or 'none'}{did_you_mean(gate, gates)}"
            )
        if not callable(init):
            where = f" for gate {gate!r}" if isinstance(given, Mapping) else ""
            raise ValueError(
                f"{argument}: expected an initialiser (a function of key, shape and dtype){where}, got {init!r}"
            )
    return {gate: each.get(gate, default) for gate in gates}


def overriding(given: ByGate | None, **defaults: Initializer) -> ByGate:
    """Returns `given`, with `defaults` for gates that it does not name; one for all gates leaves none of them."""
    if given is None or isinstance(given, Mapping):
        return {**defaults, **(given or {})}
    return given


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
