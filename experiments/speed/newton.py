"""Computes all states of a cell at once by Newton's method, and times it: `python experiments/speed/newton.py`.

With s_t = f(s_{t-1}, x_t) and J_t = df/ds at s_{t-1}, each iteration solves a recurrence that is linear in the new
states, and so can be computed in parallel over time:

    new_t = f(s_{t-1}, x_t) + J_t (new_{t-1} - s_{t-1})

"full" keeps J (DEER, Lim et al. 2024), and "diagonal" only its diagonal (quasi-DEER, Gonzalez et al. 2024). Iterations
start from states of 0 and end when no state changes by more than `TOLERANCE`, or after one iteration for each time
step. Only the forward pass is timed, of cells at their initialisation; the gradient would cost one more iteration. The
other side is the unroll that training uses.
"""

import argparse
import json
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.flatten_util import ravel_pytree
from rich.progress import track

from rnnbench.cells import GRU, LSTM, VanillaRNN, unroll
from rnnbench.records.provenance import machine_and_packages

CELLS = {"rnn": VanillaRNN, "lstm": LSTM, "gru": GRU}
SHAPES = ((100, 1, 4), (1000, 1, 4), (1000, 1, 16), (10_000, 1, 4), (200, 32, 64))
"""Time steps, batch and hidden units."""
TOLERANCE = 1e-4


def newton(cell: nnx.RNNCellBase, xs: jax.Array, diagonal: bool) -> tuple[jax.Array, jax.Array]:
    """Returns the outputs of every step, `(time, batch, hidden)`, and the number of iterations.

    Args:
        cell: the cell.
        xs: its inputs, `(time, batch, features)`.
        diagonal: whether only the diagonal of J is kept.
    """
    carry = cell.initialize_carry(xs.shape[1:], nnx.Rngs(0))
    first = jax.vmap(lambda own: ravel_pytree(own)[0])(carry)
    unravel = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], carry))[1]

    def f(state: jax.Array, x: jax.Array) -> jax.Array:
        return ravel_pytree(cell(unravel(state), x)[0])[0]

    def of_step(state: jax.Array, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        jacobian = jax.jacfwd(f)(state, x)
        return f(state, x), jnp.diagonal(jacobian) if diagonal else jacobian

    def times(jacobian: jax.Array, state: jax.Array) -> jax.Array:
        return jacobian * state if diagonal else jnp.einsum("...ij,...j->...i", jacobian, state)

    def combine(one: tuple[jax.Array, jax.Array], two: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        return (two[0] * one[0] if diagonal else two[0] @ one[0]), times(two[0], one[1]) + two[1]

    def iterate(loop: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        states, iterations, _ = loop
        before = jnp.concatenate([first[None], states[:-1]])
        after, jacobian = jax.vmap(jax.vmap(of_step))(before, xs)
        # The first state is known, so its Jacobian does not matter.
        rest = after - times(jacobian, before)
        rest = rest.at[0].set(after[0])
        _, new = jax.lax.associative_scan(combine, (jacobian.at[0].set(0), rest))
        return new, iterations + 1, jnp.max(jnp.abs(new - states))

    def unfinished(loop: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        _, iterations, change = loop
        return (iterations < len(xs)) & ~(change <= TOLERANCE)  # a NaN is no convergence

    zeros = jnp.zeros((len(xs), *first.shape))
    states, iterations, _ = jax.lax.while_loop(unfinished, iterate, (zeros, 0, jnp.inf))
    outputs = jax.vmap(jax.vmap(lambda state: jax.tree.leaves(unravel(state))[0]))(states)
    return outputs, iterations


def timed(function: Callable[[jax.Array], Any], xs: jax.Array, times: int) -> tuple[Any, float]:
    """Returns the result of a compiled function, and the median of its time in milliseconds."""
    result = jax.block_until_ready(function(xs))
    seconds = []
    for _ in range(times):
        start = time.perf_counter()
        jax.block_until_ready(function(xs))
        seconds.append(time.perf_counter() - start)
    return result, 1e3 * statistics.median(seconds)


def measure(name: str, shape: tuple[int, int, int], times: int) -> list[dict[str, Any]]:
    """Returns a row for each kind of iteration: how many there were, the error, and the time beside the unroll's."""
    length, batch, hidden = shape
    cell = CELLS[name](2, hidden, rngs=nnx.Rngs(0))
    xs = jax.random.normal(jax.random.key(1), (length, batch, 2))
    expected, sequential = timed(jax.jit(lambda xs: unroll(cell, xs)[1]), xs, times)
    rows = []
    for kind in ("full", "diagonal"):
        (found, iterations), ms = timed(jax.jit(partial(newton, cell, diagonal=kind == "diagonal")), xs, times)
        rows.append(
            {
                **{"cell": name, "time": length, "batch": batch, "hidden": hidden, "jacobian": kind},
                "iterations": int(iterations),
                "error": float(np.max(np.abs(found - expected))),
                **{"newton_ms": round(ms, 3), "unroll_ms": round(sequential, 3)},
                "times_slower": round(ms / sequential, 1),
            }
        )
    return rows


def main() -> None:
    """Measures all cells and shapes, and writes and prints a row for each."""
    parser = argparse.ArgumentParser(description="Newton's method over time against the unroll that training uses.")
    parser.add_argument("--times", type=int, default=5, help="how often each is timed (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/newton.json"))
    options = parser.parse_args()
    cases = [(name, shape) for shape in SHAPES for name in CELLS]
    rows = [row for name, shape in track(cases) for row in measure(name, shape, options.times)]
    device = jax.devices()[0].device_kind
    options.output.parent.mkdir(parents=True, exist_ok=True)
    result = {"device": device, "tolerance": TOLERANCE, "rows": rows, "session": machine_and_packages()}
    options.output.write_text(json.dumps(result, indent=1) + "\n")
    for row in rows:
        print(*row.values(), sep="\t")


if __name__ == "__main__":
    main()
