"""What the state still knows about the first input."""

from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float, PyTree

from rnnbench.model import Model, first_state, state_names
from rnnbench.probes.base import Columns, Probe
from rnnbench.probes.states import states_over_time
from rnnbench.tasks.base import Example, Task

RIDGES = (1e-4, 1e-2, 1.0)
"""Penalties to try, as shares of the largest squared singular value of the states. The smallest is well above the
rounding error of float32, which would be fitted if there are as many units as examples."""


class Memory(Probe):
    """How well the first input can be read from a layer's first state, and from all its states, at every step."""

    name = "memory"
    tables: ClassVar = {"memory": {"layer": pa.int64(), "state": pa.string(), "time": pa.int64(), "r2": pa.float64()}}
    figures: ClassVar = {"memory": ("rnnbench.figures.memory.memory",)}
    headlines: ClassVar = {
        "memory": "R^2 with which the first input can be read from all states of the top layer at the answer"
    }

    def measure(self, model: Model, task: Task, batch: Example, answer: int) -> PyTree:
        """Returns R^2, `(time,)`, by layer and names of the states, joined by commas."""
        del task
        inputs = model.layer_inputs(batch.inputs, batch.mask)
        first = inputs[0][0]
        found = {}
        for layer, (cell, xs) in enumerate(zip(model.layers, inputs, strict=True)):
            names = state_names(cell)
            leaves = [leaf[:answer] for leaf in jax.tree.leaves(states_over_time(cell, xs, batch.mask.T))]
            hidden = first_state(cell)
            found[layer, hidden] = memory(leaves[names.index(hidden)], first)
            found[layer, ",".join(names)] = memory(jnp.concatenate(leaves, axis=-1), first)
        return found

    def rows(self, measured: PyTree, model: Model, task: Task) -> dict[str, list[Columns]]:
        """Returns a row for every time step."""
        del model, task
        return {
            "memory": [
                {"layer": layer, "state": state, "time": np.arange(len(r2)), "r2": r2}
                for (layer, state), r2 in measured.items()
            ]
        }

    def headline(self, measured: PyTree, model: Model) -> dict[str, float]:
        """Returns R^2 of all states of the top layer at the answer."""
        top = len(model.layers) - 1
        return {"memory": float(measured[top, ",".join(state_names(model.layers[top]))][-1])}


def memory(states: Float[Array, "time batch hidden"], first: Float[Array, "batch features"]) -> Float[Array, " time"]:
    """Returns how well a linear map reads x_1 from h_t, for every t: R^2 on left-out examples, from 0 to 1.

        x_1 ~ a + h_t B,    R^2 = 1 - sum_n |x_n - x_n^(-n)|^2 / sum_n |x_n - mean^(-n)|^2

    B is fitted in closed form by ridge regression. x_n^(-n) is the fit from all examples except n, which also has a
    closed form: the residual is divided by 1 - H_nn (Allen 1974). The best of a few penalties counts, and a negative
    R^2 counts as 0. Jaeger (2001) measures memory in the same way, with delayed inputs.

    Args:
        states: h_t of every example, time first.
        first: x_1 of every example: features, or a token's embedding.

    Returns:
        R^2 of every step; NaN if x_1 is the same in all examples.

    Raises:
        ValueError: there are fewer than 3 examples, which leaves too few to fit when one is left out.
    """
    examples = first.shape[0]
    if examples < 3:
        raise ValueError(f"expected 3 examples or more, got {examples}")
    others = examples / (examples - 1)
    target = first - first.mean(0, keepdims=True)
    total = jnp.sum(jnp.square(others * target))

    def at_step(h: Float[Array, "batch hidden"]) -> Float[Array, ""]:
        left, scale, _ = jnp.linalg.svd(h - h.mean(0, keepdims=True), full_matrices=False)
        squares = jnp.square(scale)

        def score(ridge: Float[Array, ""]) -> Float[Array, ""]:
            kept = squares / (squares + ridge * squares[0] + jnp.finfo(h.dtype).tiny)
            fit = left @ (kept[:, None] * (left.T @ target))
            leverage = 1 / examples + jnp.square(left) @ kept
            errors = (target - fit) / jnp.maximum(1 - leverage, 1e-6)[:, None]
            return 1 - jnp.sum(jnp.square(errors)) / total

        return jnp.max(jax.vmap(score)(jnp.array(RIDGES)))

    return jnp.where(jnp.any(first != first[:1]), jnp.clip(jax.lax.map(at_step, states), 0, 1), jnp.nan)
