"""The unroll over time, by the kind of cell: linear in its state, written gate by gate, or any other."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, PyTree

from rnnbench.cells.base import is_gated
from rnnbench.cells.gated_scan import gated_unroll
from rnnbench.cells.linear import Method, check_method, is_linear, linear_unroll
from rnnbench.cells.scanning import Hidden, Inputs, Mask, hold, in_chunks, remat


def unroll(
    cell: nnx.RNNCellBase,
    inputs: Inputs,
    carry: PyTree | None = None,
    mask: Mask | None = None,
    perturbation: PyTree | None = None,
    last_only: bool = False,
    remat_every: int | None = None,
    method: Method | None = None,
    truncate: int | None = None,
) -> tuple[PyTree, Hidden]:
    """Runs a cell over time: carry_t = cell(carry_{t-1}, x_t) + eps_t.

    A `GatedCell` runs in a scan with its own gradient: the reverse scan carries only the gradients of the states, and
    after it, each weight gradient is one matmul over all steps. A `LinearCell` computes all its gates at once, and its
    state step by step or in parallel over time. Any other cell runs in `plain_unroll`. Values and gradients are the
    same.

    Args:
        cell: the recurrent cell.
        inputs: x, with time as the first axis.
        carry: the states before the first step; by default those of the cell's `initialize_carry`.
        mask: False at padded steps, which leave the carry unchanged; by default no step is padded.
        perturbation: eps, with the shape of the carry and a leading time axis. The gradient with respect to it, taken
            at zero, is dL/dcarry_t for every t.
        last_only: whether to return only the output of the last step. Stacking the others takes time and memory.
        remat_every: steps between two carries that are stored for the gradient; everything else is computed again
            (Chen et al. 2016). The gradient then needs memory for T / remat_every + remat_every steps instead of T,
            which is least near sqrt(T), but it takes a second forward pass. By default everything is stored.
        method: how a `LinearCell` computes its state; by default as is faster on the device. Others know only
            "sequential".
        truncate: steps of a segment; no gradient passes from a segment to the one before it, through the carry
            (truncated backpropagation, Williams & Peng 1990). By default it passes through all steps.

    Returns:
        The last carry, and the outputs of all steps, or only that of the last step with `last_only`. The output of a
        padded step is that of the last real step before it. If there is none, it is the state in `carry` that the cell
        gives as its output.

    Raises:
        ValueError: `method` is "parallel", and the cell is not linear in its state.
    """
    check_method(cell, method)
    if carry is None:
        carry = cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0))
    if truncate is not None:

        def segment(carry: PyTree, xs: tuple[Inputs, Mask | None, PyTree | None]) -> tuple[PyTree, Hidden]:
            return unroll(cell, xs[0], lax.stop_gradient(carry), *xs[1:], remat_every=remat_every, method=method)

        carry, hidden = in_chunks(segment, carry, (inputs, mask, perturbation), truncate)
        return carry, hidden[-1] if last_only else hidden
    if is_gated(cell):
        inputs = inputs.astype(cell.kernel[...].dtype)  # the type of the states, which no step may change
        if is_linear(cell):
            return linear_unroll(cell, _real(inputs, mask), carry, mask, perturbation, last_only, remat_every, method)
        return gated_unroll(cell, _real(inputs, mask), carry, mask, perturbation, last_only, remat_every)
    return plain_unroll(cell, inputs, carry, mask, perturbation, last_only, remat_every)


def plain_unroll(
    cell: nnx.RNNCellBase,
    inputs: Inputs,
    carry: PyTree,
    mask: Mask | None = None,
    perturbation: PyTree | None = None,
    last_only: bool = False,
    remat_every: int | None = None,
) -> tuple[PyTree, Hidden]:
    """Runs `unroll` with `lax.scan` and automatic differentiation, for any cell."""
    inputs = _real(inputs, mask)
    graphdef, state = nnx.split(cell)

    def body(
        last: tuple[PyTree, Array], x: tuple[Array, Array | None, PyTree]
    ) -> tuple[tuple[PyTree, Array], Array | None]:
        inputs_t, mask_t, eps_t = x
        new_carry, output = nnx.merge(graphdef, state)(last[0], inputs_t)
        # In nearly every cell the output is one of the states. It must then be perturbed with that state.
        shared = [leaf is output for leaf in jax.tree.leaves(new_carry)]
        new_carry, output = hold(mask_t, (new_carry, output), last)
        if eps_t is not None:
            new_carry = jax.tree.map(jnp.add, new_carry, eps_t)
        if True in shared:
            output = jax.tree.leaves(new_carry)[shared.index(True)]
        return (new_carry, output), None if last_only else output

    shapes = jax.eval_shape(lambda c, x: cell(c, x)[1], carry, inputs[0])
    output = jnp.zeros(shapes.shape, shapes.dtype)

    def scan(first: tuple[PyTree, Array], xs: Any) -> tuple[tuple[PyTree, Array], Array | None]:
        return lax.scan(body, first, xs)

    (carry, last), outputs = remat(scan, (carry, output), (inputs, mask, perturbation), remat_every)
    return carry, last if outputs is None else outputs


def _real(inputs: Inputs, mask: Mask | None) -> Inputs:
    """Returns the inputs, with 0 at padded steps.

    The gradient of a padded step is 0, but 0 times infinity or NaN is NaN, so no such value may enter the step.
    """
    return hold(mask, inputs, jnp.zeros_like(inputs))
