"""Pascanu's Omega: how much a step back in time changes the norm of the gradient."""

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, PyTree

from rnnbench.cells.scanning import hold
from rnnbench.model import Model
from rnnbench.probes.gradient_flow import state_gradients
from rnnbench.probes.states import states_over_time
from rnnbench.tasks.base import Example, Task


def omega(model: Model, task: Task, batch: Example) -> Float[Array, ""]:
    """Returns the regulariser of Pascanu, Mikolov & Bengio (2013), equation 9: batch mean, summed over layers.

        Omega = sum_t ( ||dL/ds_{t+1} ds_{t+1}/ds_t|| / ||dL/ds_{t+1}|| - 1 )^2

    It is 0 if every step back in time preserves the gradient's norm. s is the vector of all states of a layer (h, and
    for an LSTM also c). As in the paper, s_t and dL/ds_{t+1} are constants in its own gradient, which flows only
    through ds_{t+1}/ds_t. Padded steps and steps that no gradient reaches do not count.

    Args:
        model: the model with its parameters.
        task: whose `probe_loss` is L.
        batch: examples.
    """
    graphdef, state = nnx.split(model)
    frozen = nnx.merge(graphdef, jax.tree.map(lax.stop_gradient, state))
    gradients = state_gradients(frozen, task, batch)
    inputs = frozen.layer_inputs(batch.inputs, batch.mask)
    counted = (batch.mask[:, 1:] & batch.mask[:, :-1]).T
    total = jnp.zeros(())
    for cell, still, xs, gradient in zip(model.layers, frozen.layers, inputs, gradients, strict=True):
        xs = hold(batch.mask.T, xs, jnp.zeros_like(xs))  # a NaN in a padded input would be one in the gradient
        states = states_over_time(still, xs, batch.mask.T)

        def step(states: PyTree, cell: nnx.RNNCellBase = cell, xs: Array = xs) -> PyTree:
            return cell(states, xs[1:])[0]

        later = _scaled(jax.tree.map(lambda leaf: leaf[1:], gradient))
        (pulled,) = jax.vjp(step, jax.tree.map(lambda leaf: leaf[:-1], states))[1](later)
        before, after = _squares(pulled), _squares(later)
        reached = counted & (after > 0)
        ratio = jnp.sqrt(jnp.where(reached & (before > 0), before, 1.0) / jnp.where(reached, after, 1.0))
        ratio = jnp.where(before > 0, ratio, 0.0)
        total += jnp.sum(jnp.where(reached, jnp.square(ratio - 1), 0.0)) / batch.mask.shape[0]
    return total


def _scaled(gradient: PyTree) -> PyTree:
    """Scales the largest number to 1: the ratio stays the same, and the square of a tiny gradient is not 0."""
    largest = jnp.max(jnp.stack([jnp.max(jnp.abs(leaf), axis=-1) for leaf in jax.tree.leaves(gradient)]), axis=0)
    scale = jnp.where(largest > 0, largest, 1.0)[..., None]
    return jax.tree.map(lambda leaf: leaf / scale, gradient)


def _squares(states: PyTree) -> Float[Array, "time batch"]:
    """Returns ||s_t||^2."""
    return sum((jnp.sum(jnp.square(leaf), axis=-1) for leaf in jax.tree.leaves(states)), jnp.zeros(()))
