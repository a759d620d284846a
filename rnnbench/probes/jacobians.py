"""How a small change of the state grows or shrinks: singular values, Lyapunov exponents, spectral radii.

All states of a cell (h; for an LSTM h and c) are taken as one vector s of S numbers, s_{t+1} = F(s_t, x_{t+1}).
"""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray

from rnnbench.cells.base import is_gated
from rnnbench.model import state_names

EXACT_UP_TO = 256
"""Hidden units up to which the whole Jacobian is formed."""

Inputs = Float[Array, "time features"]
Step = Callable[[Float[Array, " S"], Float[Array, " features"]], Float[Array, " S"]]
Linear = Callable[[Float[Array, " n"]], Float[Array, " m"]]


def singular_values(
    cell: nnx.RNNCellBase,
    inputs: Inputs,
    lag: int,
    states: Sequence[str] = ("h",),
    count: int | None = None,
) -> Float[Array, " count"]:
    """The largest singular values of J = ds_T / ds_{T - lag} along one sequence of T inputs, largest first.

    They say by how much a change of the state at T - lag can grow (above 1) or must shrink (below 1) until T; Pascanu
    et al. (2013) bound them. Up to 256 hidden units J is formed and decomposed; above that the largest are found from
    products with J and its transpose alone (`randomized_singular_values`).

    Args:
        cell: the cell, from the state in which it starts.
        inputs: what it sees.
        lag: number of steps, 1 to T.
        states: names of the states at both ends, such as ("h",) for dh_T / dh_{T - lag}; others are held at T - lag.
        count: how many; by default all, and 16 where they are not computed exactly.

    Raises:
        ValueError: the lag or a state does not exist.
    """
    if not 1 <= lag <= len(inputs):
        raise ValueError(f"lag: expected 1 to the {len(inputs)} steps of the inputs, got {lag}")
    names = state_names(cell)
    if unknown := set(states) - set(names):
        raise ValueError(f"states: expected some of {', '.join(names)}, got {', '.join(sorted(unknown))}")
    step, first = _as_vector(cell, inputs)
    start = lax.scan(lambda s, x: (step(s, x), None), first, inputs[: len(inputs) - lag])[0]
    sizes = [leaf.size for leaf in jax.tree.leaves(cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0)))]
    numbers = dict(zip(names, np.split(np.arange(start.size), np.cumsum(sizes)[:-1]), strict=True))
    chosen = np.concatenate([numbers[name] for name in states])

    def after_lag(part: Float[Array, " n"]) -> Float[Array, " n"]:
        state = start.at[chosen].set(part)
        return lax.scan(lambda s, x: (step(s, x), None), state, inputs[len(inputs) - lag :])[0][chosen]

    if max(sizes) <= EXACT_UP_TO:
        return jnp.linalg.svd(jax.jacfwd(after_lag)(start[chosen]), compute_uv=False)[:count]
    _, push = jax.linearize(after_lag, start[chosen])
    transpose = jax.linear_transpose(push, start[chosen])
    return randomized_singular_values(push, lambda v: transpose(v)[0], len(chosen), count or 16, jax.random.key(0))


def randomized_singular_values(
    apply: Linear, transpose: Linear, size: int, count: int, key: PRNGKeyArray, iterations: int = 8
) -> Float[Array, " count"]:
    """The largest singular values of a linear map, by subspace iteration (Halko, Martinsson & Tropp 2011).

    Args:
        apply: v to A v.
        transpose: u to A^T u.
        size: length of v.
        count: how many; the error falls as (s_{count+9} / s_i)^(2 iterations).
        key: for the directions to start with.
        iterations: products with A and A^T.
    """
    width = min(count + 8, size)
    columns = jax.vmap(apply, in_axes=1, out_axes=1), jax.vmap(transpose, in_axes=1, out_axes=1)

    def iterate(basis: Float[Array, "size width"], _: None) -> tuple[Float[Array, "size width"], None]:
        return jnp.linalg.qr(columns[1](jnp.linalg.qr(columns[0](basis))[0]))[0], None

    basis = jnp.linalg.qr(jax.random.normal(key, (size, width)))[0]
    basis, _ = lax.scan(iterate, basis, None, length=iterations)
    return jnp.linalg.svd(columns[0](basis), compute_uv=False)[:count]


def lyapunov_exponents(
    cell: nnx.RNNCellBase, inputs: Inputs, warmup: int = 0, count: int | None = None
) -> Float[Array, " count"]:
    """Lyapunov exponents of the state along one sequence of inputs, in nats a step, largest first.

        Q_{t+1} R_{t+1} = J_t Q_t,   J_t = dF/ds at s_t,   lambda_i = mean over t of log |R_t[i, i]|

    by QR decomposition at every step (Benettin et al. 1980; for recurrent networks Engelken et al. 2023). An exponent
    of -0.1 shrinks a change of the state, and the gradient with it, by a tenth a step.

    Args:
        cell: the cell, from the state in which it starts.
        inputs: what it sees.
        warmup: first steps, over which Q settles, that do not count.
        count: how many; by default one for each number of the state.

    Raises:
        ValueError: no step is left after the warm-up.
    """
    if not 0 <= warmup < len(inputs):
        raise ValueError(f"warmup: expected 0 or more and less than the {len(inputs)} steps, got {warmup}")
    step, first = _as_vector(cell, inputs)
    frame = jnp.eye(first.size)[:, : count or first.size]

    def advance(
        at: tuple[Float[Array, " S"], Float[Array, "S count"]], x: Float[Array, " features"]
    ) -> tuple[tuple[Float[Array, " S"], Float[Array, "S count"]], Float[Array, " count"]]:
        state, frame = at
        new, push = jax.linearize(lambda s: step(s, x), state)
        frame, upper = jnp.linalg.qr(jax.vmap(push, in_axes=1, out_axes=1)(frame))
        return (new, frame), jnp.log(jnp.abs(jnp.diagonal(upper)))

    _, logs = lax.scan(advance, (first, frame), inputs)
    return -jnp.sort(-jnp.mean(logs[warmup:], axis=0))


def spectral_radii(cell: nnx.RNNCellBase) -> dict[str, float]:
    """Largest |eigenvalue| of each recurrent gate's U by name, where U is square; nothing for a foreign cell."""
    if not is_gated(cell):
        return {}
    kernels = {name: np.asarray(U, np.float64) for name, U in cell.recurrent_kernels().items()}
    return {name: float(np.abs(np.linalg.eigvals(U)).max()) for name, U in kernels.items() if U.shape[0] == U.shape[1]}


def _as_vector(cell: nnx.RNNCellBase, inputs: Inputs) -> tuple[Step, Float[Array, " S"]]:
    """A step of the cell on one vector (its states, in their order), and the one it starts with."""
    first, unravel = ravel_pytree(cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0)))

    def step(state: Float[Array, " S"], x: Float[Array, " features"]) -> Float[Array, " S"]:
        return ravel_pytree(cell(unravel(state), x)[0])[0]

    return step, first
