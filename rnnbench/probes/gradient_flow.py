"""Where in time the gradient is."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from rnnbench.model import Model, state_names
from rnnbench.tasks.base import Example, Task


def state_gradients(model: Model, task: Task, batch: Example) -> list[PyTree]:
    """dL/ds_t of every example, for each layer a pytree like its carry, with leading axes time and batch.

    L is an example's `task.probe_loss`. The states of a step are taken as independent: dL/dh_t counts what flows from
    h_t into the output and into step t + 1.
    """

    def total_loss(perturbation: list[PyTree]) -> Float[Array, ""]:
        outputs, _ = model(batch.inputs, batch.mask, perturbation=perturbation)
        return jnp.sum(jax.vmap(task.probe_loss)(outputs, batch))

    return jax.grad(total_loss)(model.zero_perturbation(batch.inputs))


def gradient_flow(model: Model, task: Task, batch: Example) -> dict[tuple[int, str], Float[Array, "time batch"]]:
    """||dL/ds_t|| for every layer, state s (`h`; for an LSTM also `c`), time step t and example.

    The norm is over the hidden units; see `state_gradients` for dL/ds_t.

    Args:
        model: the model with its parameters.
        task: the task that the batch is of.
        batch: the probe batch; its examples should have their answer at the same step.

    Returns:
        The norms by (layer, state).
    """
    return {
        (layer, state): norm(leaf)
        for layer, gradient in enumerate(state_gradients(model, task, batch))
        for state, leaf in zip(state_names(model.layers[layer]), jax.tree.leaves(gradient), strict=True)
    }


def norm(vectors: Float[Array, "*axes n"]) -> Float[Array, "*axes"]:
    """||v||, of gradients so small that the square of their norm is 0, too."""
    largest = jnp.max(jnp.abs(vectors), axis=-1)
    scale = jnp.where(largest > 0, largest, 1.0)
    return scale * jnp.linalg.norm(vectors / scale[..., None], axis=-1)
