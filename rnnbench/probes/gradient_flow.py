"""How much of the gradient reaches each time step."""

from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import Array, Float, PyTree

from rnnbench.model import Model, first_state, state_names
from rnnbench.probes.base import Columns, Probe
from rnnbench.probes.decay import decay
from rnnbench.tasks.base import Example, Task

QUANTILES = (0.1, 0.5, 0.9)
"""Quantiles over the probe batch, in the columns q10, q50 and q90."""


class GradientFlow(Probe):
    """The norm of dL/ds_t for every layer, state s and time step t: its mean and quantiles over the probe batch.

    How fast the mean norm decays (see `decay`) is added to `metrics`, as `<name>.<layer>.<state>` in the split "probe".
    """

    name = "gradient_flow"
    tables: ClassVar = {
        "gradient_flow": {
            "layer": pa.int64(),
            "state": pa.string(),
            "time": pa.int64(),
            "norm": pa.float64(),
            **dict.fromkeys(("q10", "q50", "q90"), pa.float64()),
        }
    }
    figures: ClassVar = {
        "gradient_flow": ("rnnbench.figures.gradients.gradient_flow", "rnnbench.figures.gradients.gradient_map"),
    }
    headlines: ClassVar = {"half_life": "steps back over which the gradient of the top layer's first state halves"}

    def measure(self, model: Model, task: Task, batch: Example, answer: int) -> PyTree:
        """Returns the mean norm and its quantiles, `(4, time)`, by (layer, state)."""
        del answer
        levels = jnp.array(QUANTILES)
        return {
            name: jnp.concatenate([norms.mean(-1)[None], jnp.quantile(norms, levels, axis=-1)])
            for name, norms in gradient_flow(model, task, batch).items()
        }

    def rows(self, measured: PyTree, model: Model, task: Task) -> dict[str, list[Columns]]:
        """Returns a row for every layer, state and time step, and the numbers that describe the decay."""
        del model, task
        flow: list[Columns] = []
        metrics: list[Columns] = []
        for (layer, state), (norm, q10, q50, q90) in measured.items():
            where: dict[str, Any] = {"layer": layer, "state": state, "time": np.arange(len(norm))}
            flow.append({**where, "norm": norm, "q10": q10, "q50": q50, "q90": q90})
            metrics += [
                {"split": "probe", "metric": f"{name}.{layer}.{state}", "value": value}
                for name, value in decay(norm).items()
                if np.isfinite(value)
            ]
        return {"gradient_flow": flow, "metrics": metrics}

    def headline(self, measured: PyTree, model: Model) -> dict[str, float]:
        """Returns the half-life of the top layer's first state."""
        top = len(model.layers) - 1
        return {"half_life": decay(measured[top, first_state(model.layers[top])][0])["half_life"]}


def state_gradients(model: Model, task: Task, batch: Example) -> list[PyTree]:
    """Returns dL/ds_t of every example, for each layer a pytree like its carry, with leading axes time and batch.

    L is an example's `task.probe_loss`. The states of a step are treated as independent: dL/dh_t is what flows from
    h_t into the output and into step t + 1.
    """

    def total_loss(perturbation: list[PyTree]) -> Float[Array, ""]:
        outputs, _ = model(batch.inputs, batch.mask, perturbation=perturbation)
        return jnp.sum(jax.vmap(task.probe_loss)(outputs, batch))

    return jax.grad(total_loss)(model.zero_perturbation(batch.inputs))


def gradient_flow(model: Model, task: Task, batch: Example) -> dict[tuple[int, str], Float[Array, "time batch"]]:
    """Returns ||dL/ds_t|| for every layer, state s (`h`; for an LSTM also `c`), time step t and example.

    The norm is over the hidden units; see `state_gradients` for dL/ds_t.

    Args:
        model: the model with its parameters.
        task: the task that the batch belongs to.
        batch: the probe batch; its examples should have their answer at the same step.

    Returns:
        The norms, by (layer, state).
    """
    return {
        (layer, state): norm(leaf)
        for layer, gradient in enumerate(state_gradients(model, task, batch))
        for state, leaf in zip(state_names(model.layers[layer]), jax.tree.leaves(gradient), strict=True)
    }


def norm(vectors: Float[Array, "*axes n"]) -> Float[Array, "*axes"]:
    """Returns ||v||, even for gradients so small that their square is 0."""
    largest = jnp.max(jnp.abs(vectors), axis=-1)
    scale = jnp.where(largest > 0, largest, 1.0)
    return scale * jnp.linalg.norm(vectors / scale[..., None], axis=-1)
