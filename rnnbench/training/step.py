"""A run's state and its training step, as pure functions."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Bool, Float, Int, Key, PRNGKeyArray, PyTree

from rnnbench.dropout import Dropout
from rnnbench.model import Model
from rnnbench.probes.omega import omega
from rnnbench.tasks.base import GrowingTask, Task
from rnnbench.training.curriculum import Curriculum, advance

Numbers = dict[str, Float[Array, ""] | Int[Array, ""]]
"""Numbers in which the members of a population differ, by configuration key."""


DROPOUT, RECURRENT_DROPOUT = np.uint32(2**32 - 1), np.uint32(2**32 - 2)
"""Streams of a step's key. `split` folds small numbers into it, for the examples."""


class Structure(NamedTuple):
    """A model without its parameters.

    Attributes:
        graphdef: the modules, as `flax.nnx.split` returns them.
        constants: everything in the model that is not a parameter.
    """

    graphdef: nnx.GraphDef
    constants: PyTree

    def model(self, params: PyTree) -> Model:
        """Returns the model with these parameters."""
        return nnx.merge(self.graphdef, params, self.constants)


class RunState(NamedTuple):
    """Everything that a run needs to resume exactly where it stopped.

    Attributes:
        step: number of training steps done.
        key: the run's key: step n draws its data from `fold_in(key, n)`, so there is no iterator to save.
        params: the model's parameters.
        opt_state: the optimizer's state, including its numbers (learning rate, ...).
        diverged_at: number of the step whose loss, gradient or updated parameters were not finite, otherwise -1.
            Neither this step nor any later one is taken.
        numbers: the numbers in which the members of the run's population differ.
        curriculum: where the run stands in its curriculum; None without one.
    """

    step: Int[Array, ""]
    key: PRNGKeyArray
    params: PyTree
    opt_state: PyTree
    diverged_at: Int[Array, ""]
    numbers: Numbers
    curriculum: Curriculum | None = None


def init_state(
    params: PyTree,
    data_key: PRNGKeyArray,
    optimizer: optax.GradientTransformationExtraArgs,
    numbers: Numbers,
    curriculum: Curriculum | None = None,
) -> RunState:
    """Returns a run's state before its first step.

    Args:
        params: the model's parameters.
        data_key: the key from which every step draws its data.
        optimizer: the optimizer that `train_step` will use.
        numbers: the numbers in which the members of the run's population differ.
        curriculum: where its curriculum starts, if it has one.
    """
    return RunState(jnp.int32(0), data_key, params, optimizer.init(params), jnp.int32(-1), numbers, curriculum)


def train_step(
    state: RunState,
    structure: Structure,
    task: Task,
    optimizer: optax.GradientTransformationExtraArgs,
    batch_size: int,
    steps: int,
    omega_weight: float | Float[Array, ""] | None = None,
    dropout: float | Float[Array, ""] | None = None,
    recurrent_dropout: float | Float[Array, ""] | None = None,
    truncate: int | None = None,
    curriculum: float | Float[Array, ""] | None = None,
    batch_axis: str | None = None,
) -> tuple[RunState, dict[str, Float[Array, ""]]]:
    """Takes one step: draws a batch, computes the gradient, clips it and updates the parameters.

    Args:
        state: the run's state.
        structure: the model's structure.
        task: draws the examples and scores the outputs.
        optimizer: clips the gradient and updates the parameters. Its update also gets what a line search needs: the
            objective's `value` and `grad`, and as `value_fn` the objective of this step's batch.
        batch_size: examples in the whole batch.
        steps: number of steps in the run; later steps leave the state unchanged.
        omega_weight: weight of Pascanu's regulariser (`rnnbench.probes.omega`), which is added to the loss before its
            gradient is taken; the scalar `loss` does not include it. None means that it is not computed.
        dropout: share of each layer's outputs that is dropped; None if nothing is. What is dropped depends on the run's
            key and the step. The regulariser sees the whole model.
        recurrent_dropout: share of the recurrent weights that is dropped; None if nothing is.
        truncate: steps of a segment through which the loss's gradient passes; None if it passes through all.
        curriculum: training score at which the largest length grows; unused if the state has no curriculum.
        batch_axis: name of the mapped axis over which the batch is split, if any. Each device draws its share of the
            same keys, so that the data do not depend on the number of devices.

    Returns:
        The new state, and this step's scalars: `loss`, the task's metrics, `grad_norm` (global, before clipping),
        `grad_norm.<parameter>`, `clipped` (1 if clipping changed the gradient, else 0), `learning_rate` if the
        optimizer has one, `omega` if it is computed, and `longest`, the largest length of a curriculum, if there is
        one. All are NaN for a step that was not taken.
    """
    step_key = jax.random.fold_in(state.key, state.step)

    def of_examples(key: PRNGKeyArray) -> Key[Array, " batch"]:
        """Returns a key for each example of this device."""
        keys = jax.random.split(key, batch_size)
        if batch_axis is None:
            return keys
        share = batch_size // lax.axis_size(batch_axis)
        return lax.dynamic_slice_in_dim(keys, lax.axis_index(batch_axis) * share, share)

    if state.curriculum is None:
        batch = jax.vmap(task.example)(of_examples(step_key))
    else:
        assert isinstance(task, GrowingTask), "or there would be no curriculum"
        longest = jnp.int32(state.curriculum.longest)
        batch = jax.vmap(task.example_up_to, in_axes=(0, None))(of_examples(step_key), longest)
    drop = None
    if dropout is not None or recurrent_dropout is not None:
        drop_key, recurrent_key = (jax.random.fold_in(step_key, stream) for stream in (DROPOUT, RECURRENT_DROPOUT))
        drop = Dropout(of_examples(drop_key), dropout, recurrent_key, recurrent_dropout)

    def objective(params: PyTree) -> tuple[Array, tuple[Array, Array, dict[str, Array]]]:
        model = structure.model(params)
        outputs = model(batch.inputs, batch.mask, dropout=drop, truncate=truncate)[0]
        loss = jnp.mean(jax.vmap(task.loss)(outputs, batch))
        if omega_weight is None:
            return loss, (loss, outputs, {})
        regulariser = omega(model, task, batch)
        return loss + omega_weight * regulariser, (loss, outputs, {"omega": regulariser})

    (value, (loss, outputs, regularisers)), gradient = jax.value_and_grad(objective, has_aux=True)(state.params)
    metrics = {name: jnp.mean(values) for name, values in jax.vmap(task.metrics)(outputs, batch).items()}
    metrics |= regularisers
    if batch_axis is not None:
        # As one vector, devices wait for each other once instead of once per array. With 20 to 50 units, this cuts a
        # step of the RNN to two thirds of the time, and of the LSTM to four fifths.
        vector, unravel = ravel_pytree((loss, gradient, metrics))
        loss, gradient, metrics = unravel(lax.pmean(vector, batch_axis))
        value = loss if omega_weight is None else loss + omega_weight * metrics["omega"]

    norms = {_dotted(path): jnp.linalg.norm(leaf) for path, leaf in jax.tree.leaves_with_path(gradient)}
    norm = jnp.sqrt(sum(jnp.square(n) for n in norms.values()))
    scalars = {"loss": loss, **metrics, "grad_norm": norm, **{f"grad_norm.{p}": n for p, n in norms.items()}}
    value_fn = _averaged(lambda params: objective(params)[0], batch_axis)
    updates, opt_state = optimizer.update(
        gradient, state.opt_state, state.params, value=value, grad=gradient, value_fn=value_fn
    )
    params = optax.apply_updates(state.params, updates)
    clipped = _kept(opt_state, "clipped")
    scalars["clipped"] = jnp.zeros_like(norm) if clipped is None else clipped.astype(norm.dtype)
    # A schedule is evaluated in the update, which keeps the result.
    if (learning_rate := _kept(opt_state, "learning_rate")) is not None:
        scalars["learning_rate"] = learning_rate
    later = state.curriculum
    if state.curriculum is not None:
        assert curriculum is not None
        scalars["longest"] = jnp.floor(state.curriculum.longest)
        later = advance(state.curriculum, metrics[task.score], curriculum, task)
    active = (state.step < steps) & (state.diverged_at < 0)
    # The parameters are checked too: after the last step, no further loss would show that they diverged.
    finite = jnp.isfinite(loss) & jnp.isfinite(norm) & _all_finite(params)
    moved = active & finite
    params, opt_state, later = jax.tree.map(
        lambda new, old: jnp.where(moved, new, old),
        (params, opt_state, later),
        (state.params, state.opt_state, state.curriculum),
    )
    new = RunState(
        step=state.step + moved.astype(jnp.int32),
        key=state.key,
        params=params,
        opt_state=opt_state,
        diverged_at=jnp.where(active & ~finite, state.step + 1, state.diverged_at),
        numbers=state.numbers,
        curriculum=later,
    )
    return new, {name: jnp.where(active, value, jnp.nan) for name, value in scalars.items()}


def _averaged(function: Callable[[PyTree], Array], axis: str | None) -> Callable[[PyTree], Array]:
    """Returns a function whose value and gradient are averaged over a mapped axis, if there is one."""
    if axis is None:
        return function

    def both(params: PyTree) -> tuple[Array, PyTree]:
        return lax.pmean(jax.value_and_grad(function)(params), axis)

    averaged = jax.custom_vjp(lambda params: lax.pmean(function(params), axis))
    averaged.defvjp(both, lambda gradient, seed: (jax.tree.map(lambda leaf: seed * leaf, gradient),))
    return averaged


def _dotted(path: Any) -> str:
    """Returns the dotted name of a parameter's path, such as `layers.0.kernel`."""
    return jax.tree_util.keystr(path, simple=True, separator=".")


def _all_finite(params: PyTree) -> Bool[Array, ""]:
    return jnp.all(jnp.stack([jnp.all(jnp.isfinite(leaf)) for leaf in jax.tree.leaves(params)]))


def _kept(opt_state: PyTree, name: str) -> Array | None:
    """Returns what an optimizer's state keeps under a name, or None if it keeps nothing of this name."""
    found = optax.tree.get_all_with_path(opt_state, name)
    return found[0][1] if found else None
