"""Initialisers: how a cell takes them, and some from the literature on RNNs that `jax.nn.initializers` lacks."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

Initializer = Callable[..., Array]
"""A function of `(key, shape, dtype)` that returns an array, like those of `jax.nn.initializers`."""

ByGate = Initializer | Mapping[str, Initializer]
"""One initialiser for all gates, or a mapping from the names of some gates to their initialisers."""


def by_gate(argument: str, given: ByGate, gates: Collection[str], default: Initializer) -> dict[str, Initializer]:
    """Returns the initialiser of every gate.

    Args:
        argument: the name of `given` in messages.
        given: one initialiser for all gates, or a mapping from the names of some.
        gates: names of the gates that have the parameter.
        default: the initialiser of the gates that `given` does not name.

    Raises:
        ValueError: `given` names a gate that is not in `gates`, or an initialiser is not a function.
    """
    each = given if isinstance(given, Mapping) else dict.fromkeys(gates, given)
    for gate, init in each.items():
        if gate not in gates:
            from rnnbench.config.messages import did_you_mean  # imports Hydra, which cells do not need

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
    """Returns `given` with `defaults` for gates that it does not name; an initialiser for all gates stays unchanged."""
    if given is None or isinstance(given, Mapping):
        return {**defaults, **(given or {})}
    return given


def identity_matrix(
    key: PRNGKeyArray, shape: tuple[int, int], dtype: Any = jnp.float32
) -> Float[Array, "rows columns"]:
    """Returns the identity matrix, the initial recurrent kernel of the IRNN (Le et al. 2015)."""
    del key
    return jnp.eye(*shape, dtype=dtype)


def chrono_logits(units: int, longest: Any, dtype: Any) -> Float[Array, " units"]:
    """Returns b for each unit: gates sigmoid(b) forget after 1 to about `longest` steps (see `chrono`)."""
    return jnp.log(1 + (jnp.arange(units, dtype=dtype) + 0.5) / units * (longest - 2))


def chrono(longest: float) -> dict[str, Initializer]:
    """Returns initialisers of an LSTM's biases for memories of 1 to `longest` steps.

    From Tallec & Ollivier (2018), section 3:

        b_f = log u,  b_i = -b_f,  u = 1 + (k + 1/2) / hidden * (longest - 2)  for unit k = 0, 1, ...

    The paper draws u from U(1, longest - 1). Since units are exchangeable, the quantiles of that distribution are used
    instead of random numbers, so that both biases agree without sharing a key. A forget gate with only its bias b_f
    keeps its cell for about 1 / (1 - f) = 1 + u steps.

    Args:
        longest: T_max, the longest dependency in steps; more than 2.

    Returns:
        `bias_init` for `rnnbench.cells.LSTM`.

    Raises:
        ValueError: `longest` is not more than 2.
    """
    if not longest > 2:
        raise ValueError(f"chrono needs a longest dependency above 2 steps, got {longest}")

    def forget(key: PRNGKeyArray, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        del key
        (hidden,) = shape
        return chrono_logits(hidden, longest, dtype)

    return {"forget": forget, "input": lambda *arguments: -forget(*arguments)}
