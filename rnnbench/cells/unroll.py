"""The unroll over time: a scan with its own gradient for cells written by gate, a plain scan for all others."""

from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, PyTree

from rnnbench.cells.base import is_gated
from rnnbench.cells.gated_scan import gated_unroll
from rnnbench.cells.scanning import Hidden, Inputs, Mask, hold, remat


def unroll(
    cell: nnx.RNNCellBase,
    inputs: Inputs,
    carry: PyTree | None = None,
    mask: Mask | None = None,
    perturbation: PyTree | None = None,
    last_only: bool = False,
    remat_every: int | None = None,
) -> tuple[PyTree, Hidden]:
    """Runs a cell over time: carry_t = cell(carry_{t-1}, x_t) + eps_t.

    A `GatedCell` takes a scan with a gradient of its own: the reverse scan carries the states' gradients
    alone, and every weight gradient is one matmul over all steps after it. Any other cell takes
    `plain_unroll`. Values and gradients are the same.

    Args:
        cell: the recurrent cell.
        inputs: x, time first.
        carry: states before the first step; by default the cell's own.
        mask: False at padded steps, which hand the carry on as it is; by default none is.
        perturbation: eps, shaped like the carry with a leading time axis. The gradient with respect to it,
            taken at zero, is dL/dcarry_t for every t.
        last_only: whether the output of the last step is enough: to stack the others takes time and memory.
        remat_every: keep for the gradient the carry of every so many steps alone, and compute the others again
            (Chen et al. 2016): memory of T / remat_every + remat_every steps for that of T, at the price of a
            second pass forward. Near sqrt(T) it is least. By default everything is kept.

    Returns:
        The last carry, and the output of every step (at a padded step: of the last real one, and before
        the first real one the state in `carry` that it would be); with `last_only` that of the last step.
    """
    if carry is None:
        carry = cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0))
    if is_gated(cell):
        inputs = inputs.astype(cell.kernel[...].dtype)  # of which the states are, too: every step must stay in it
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
    """`unroll` by `lax.scan` and automatic differentiation, for any cell."""
    inputs = _real(inputs, mask)
    graphdef, state = nnx.split(cell)

    def body(
        last: tuple[PyTree, Array], x: tuple[Array, Array | None, PyTree]
    ) -> tuple[tuple[PyTree, Array], Array | None]:
        inputs_t, mask_t, eps_t = x
        new_carry, output = nnx.merge(graphdef, state)(last[0], inputs_t)
        # In nearly every cell the output is one of the states: where it is, it moves with that state.
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
    """The inputs, with 0 at padded steps.

    A step's gradient is 0 there, but 0 times infinity or NaN is NaN: neither may enter the step at all.
    """
    return hold(mask, inputs, jnp.zeros_like(inputs))
