"""The unroll over time: a scan with its own gradient for cells written by gate, a plain scan for all others."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Bool, Float, PyTree

from rnnbench.cells.activations import BlockActivation
from rnnbench.cells.base import Drive, GatedCell, States

Inputs = Float[Array, "time batch features"]
Mask = Bool[Array, "time batch"]
Hidden = Float[Array, "time batch hidden"]


def unroll(
    cell: nnx.RNNCellBase,
    inputs: Inputs,
    carry: PyTree | None = None,
    mask: Mask | None = None,
    perturbation: PyTree | None = None,
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

    Returns:
        The last carry, and the output of every step (at a padded step: of the last real one, and before
        the first real one the state in `carry` that it would be).
    """
    if carry is None:
        carry = cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0))
    if isinstance(cell, GatedCell) and type(cell).__call__ is GatedCell.__call__:
        inputs = inputs.astype(cell.kernel[...].dtype)  # of which the states are, too: every step must stay in it
        return _gated_unroll(cell, inputs, carry, mask, perturbation)
    return plain_unroll(cell, inputs, carry, mask, perturbation)


def plain_unroll(
    cell: nnx.RNNCellBase, inputs: Inputs, carry: PyTree, mask: Mask | None = None, perturbation: PyTree | None = None
) -> tuple[PyTree, Hidden]:
    """`unroll` by `lax.scan` and automatic differentiation, for any cell."""
    graphdef, state = nnx.split(cell)

    def body(last: tuple[PyTree, Array], x: tuple[Array, Array | None, PyTree]) -> tuple[tuple[PyTree, Array], Array]:
        inputs_t, mask_t, eps_t = x
        new_carry, output = nnx.merge(graphdef, state)(last[0], inputs_t)
        # In nearly every cell the output is one of the states: where it is, it moves with that state.
        shared = [leaf is output for leaf in jax.tree.leaves(new_carry)]
        new_carry, output = _hold(mask_t, (new_carry, output), last)
        if eps_t is not None:
            new_carry = jax.tree.map(jnp.add, new_carry, eps_t)
        if True in shared:
            output = jax.tree.leaves(new_carry)[shared.index(True)]
        new = (new_carry, output)
        return new, new[1]

    shapes = jax.eval_shape(lambda c, x: cell(c, x)[1], carry, inputs[0])
    output = jnp.zeros(shapes.shape, shapes.dtype)
    (carry, _), outputs = lax.scan(body, (carry, output), (inputs, mask, perturbation))
    return carry, outputs


def _hold(mask: Bool[Array, " batch"] | None, new: PyTree, last: PyTree) -> PyTree:
    """`new` where the mask is True, else `last`."""
    if mask is None:
        return new
    return jax.tree.map(lambda n, o: jnp.where(mask.reshape(-1, *[1] * (n.ndim - 1)), n, o), new, last)


class _Weights(NamedTuple):
    """A gated cell's fused parameters, arranged for the scan.

    Attributes:
        joint: `[U; W; b]` of the joint gates, `(hidden + features + 1, joint * hidden)`: state, input and
            bias enter by one matmul, `[h, x, 1] @ joint`.
        from_input: `[W; b]` of the deferred gates, `(features + 1, deferred * hidden)`.
        from_state: U of each deferred gate.
        from_state_bias: recurrent bias of each deferred gate, or None.
    """

    joint: Array
    from_input: Array
    from_state: tuple[Array, ...]
    from_state_bias: tuple[Array | None, ...]


_FUSED = ("kernel", "recurrent_kernel", "bias", "recurrent_bias")


def _arrange(params: dict[str, Any], cell: GatedCell) -> _Weights:
    hidden, split = cell.hidden_features, len(cell.joint) * cell.hidden_features
    kernel, recurrent = params["kernel"], params["recurrent_kernel"]
    bias = params.get("bias", jnp.zeros(kernel.shape[1], kernel.dtype))[None]
    recurrent_bias = dict.fromkeys(cell.deferred)
    if "recurrent_bias" in params:
        for i, name in enumerate(cell.recurrently_biased):
            recurrent_bias[name] = params["recurrent_bias"][i * hidden : (i + 1) * hidden]
    return _Weights(
        joint=jnp.concatenate([recurrent[:, :split], kernel[:, :split], bias[:, :split]]),
        from_input=jnp.concatenate([kernel[:, split:], bias[:, split:]]),
        from_state=tuple(jnp.split(recurrent[:, split:], len(cell.deferred), axis=1)) if cell.deferred else (),
        from_state_bias=tuple(recurrent_bias.values()),
    )


def _append_one(x: Float[Array, "*axes features"]) -> Float[Array, "*axes features+1"]:
    return jnp.concatenate([x, jnp.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)


@jax.custom_vjp
def _known_product(state: Array, kernel: Array, product: Array) -> Array:
    """`state @ kernel`, whose value is known: the gradient flows to `state` and to `product`, not to `kernel`."""
    del state, kernel
    return product


_known_product.defvjp(
    lambda state, kernel, product: (product, kernel),
    lambda kernel, gradient: (gradient @ kernel.T, None, gradient),
)


def _gated_unroll(
    cell: GatedCell, inputs: Inputs, carry: States, mask: Mask | None, perturbation: States | None
) -> tuple[States, Hidden]:
    """`unroll` for a cell written by gate."""
    graphdef, *states = nnx.split(cell, _is_differentiable, ...)
    params, constants = map(nnx.to_pure_dict, states)
    return _GatedScan(graphdef, params, constants).run(params, constants, inputs, tuple(carry), mask, perturbation)


def _is_differentiable(path: tuple[Any, ...], value: Any) -> bool:
    """A filter for `nnx.split`: integers, booleans and keys in a cell have no gradient."""
    del path
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))


class _GatedScan:
    """The scan over a gated cell and its gradient, as functions of the cell's parameters.

    Holds only what is static: a function with a custom gradient must not close over traced values.
    """

    def __init__(self, graphdef: Any, params: dict[str, Any], constants: dict[str, Any]):
        self.graphdef = graphdef
        self.abstract, shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (params, constants))
        self.cell: GatedCell = nnx.merge(graphdef, self.abstract, shapes)
        joint = tuple(self.cell.gates[name] for name in self.cell.joint)
        self.activate = BlockActivation(joint, self.cell.hidden_features)
        self.run = jax.custom_vjp(lambda *arguments: self.forward(*arguments)[0])
        self.run.defvjp(self.forward, self.backward)

    def step(
        self,
        kept: Array,
        from_input: Array,
        last: States,
        rest: dict[str, Any],
        constants: dict[str, Any],
        mask: Array | None,
        product: Callable[[int, Array], Array],
    ) -> States:
        """The cell's own step.

        Args:
            kept: the joint gates, activated; not yet, where their slopes can't be told from their values.
            from_input: drives of the deferred gates.
            last: states before the step.
            rest: parameters that the step uses itself.
            constants: what the cell holds that has no gradient.
            mask: False where the step is padding.
            product: `(i, v) -> v U_i`, plus the recurrent bias, for deferred gate number i.
        """
        cell, hidden = self.cell, self.cell.hidden_features
        gates: dict[str, Array | Drive] = {}
        if cell.joint:
            block = kept if self.activate.invertible else self.activate(kept)
            gates |= zip(cell.joint, jnp.split(block, len(cell.joint), axis=-1), strict=True)
        for i, name in enumerate(cell.deferred):
            drive = from_input[:, i * hidden : (i + 1) * hidden]
            gates[name] = Drive(drive, functools.partial(product, i), cell.gates[name].activation)
        new = nnx.merge(self.graphdef, {**self.abstract, **rest}, constants).combine(gates, last)
        return _hold(mask, new, last)

    def forward(
        self,
        params: dict[str, Any],
        constants: dict[str, Any],
        inputs: Inputs,
        carry: States,
        mask: Mask | None,
        perturbation: States | None,
    ) -> tuple[tuple[States, Hidden], Any]:
        """The last carry and all outputs; and what the gradient needs."""
        weights, rest = _arrange(params, self.cell), _rest(params)
        from_input = _append_one(inputs) @ weights.from_input

        def body(last: States, xs: Any) -> tuple[States, Any]:
            x, from_input_t, mask_t, eps = xs
            # Of each deferred gate, one for every time that the step asks for its drive.
            products: list[list[Array]] = [[] for _ in weights.from_state]
            operands: list[list[Array | None]] = [[] for _ in weights.from_state]

            def product(i: int, state: Array) -> Array:
                bias = weights.from_state_bias[i]
                out = state @ weights.from_state[i]
                products[i].append(out if bias is None else out + bias[None])
                operands[i].append(None if state is last[0] else state)  # h itself is kept anyway
                return products[i][-1]

            z = _append_one(jnp.concatenate([last[0], x], axis=-1)) @ weights.joint
            # The barrier keeps XLA from slicing the gates within the code of the activation (see there).
            kept = lax.optimization_barrier(self.activate(z)) if self.activate.invertible else z
            new = self.step(kept, from_input_t, last, rest, constants, mask_t, product)
            if eps is not None:
                new = jax.tree.map(jnp.add, new, eps)
            return new, (kept, products, operands, new)

        last, (kept, products, operands, states) = lax.scan(body, carry, (inputs, from_input, mask, perturbation))
        arguments = (params, constants, inputs, carry, mask, perturbation is not None)
        return (last, states[0]), (arguments, from_input, kept, products, operands, states)

    def backward(self, residuals: Any, gradient: tuple[States, Hidden]) -> tuple[Any, ...]:
        """Gradients of parameters, constants (none), inputs, first carry, mask (none) and perturbation."""
        (params, constants, inputs, carry, mask, perturbed), from_input, kept, products, operands, states = residuals
        weights, rest = _arrange(params, self.cell), _rest(params)
        hidden = self.cell.hidden_features
        recurrent = weights.joint[:hidden]
        last = jax.tree.map(lambda first, later: jnp.concatenate([first[None], later[:-1]]), carry, states)

        def body(dcarry: Any, xs: Any) -> tuple[Any, Any]:
            dstates, drest = dcarry
            dy, kept_t, from_input_t, products_t, last_t, mask_t = xs
            dstates = (dstates[0] + dy, *dstates[1:])

            def replay(kept: Array, from_input: Array, last: States, products: Any, rest: Any) -> States:
                known = [iter(of_gate) for of_gate in products]

                def product(i: int, state: Array) -> Array:
                    return _known_product(state, weights.from_state[i], next(known[i]))

                return self.step(kept, from_input, last, rest, constants, mask_t, product)

            _, vjp = jax.vjp(replay, kept_t, from_input_t, last_t, products_t, rest)
            dkept, dfrom_input, dlast, dproducts, drest_t = vjp(dstates)
            dz = dkept * self.activate.slope(kept_t) if self.activate.invertible else dkept
            dlast = (dlast[0] + dz @ recurrent.T, *dlast[1:])
            out = (dz, dfrom_input, dproducts, dstates if perturbed else None)
            return (dlast, jax.tree.map(jnp.add, drest, drest_t)), out

        dlast, dhidden = gradient
        start = (dlast, jax.tree.map(jnp.zeros_like, rest))
        xs = (dhidden, kept, from_input, products, last, mask)
        (dcarry, drest), (dz, dfrom_input, dproducts, dstates) = lax.scan(body, start, xs, reverse=True)

        inputs_and_one = _append_one(inputs)
        dfrom_input_weights = _over_steps(inputs_and_one, dfrom_input)
        djoint = jnp.concatenate([_over_steps(last[0], dz), _over_steps(inputs_and_one, dz)])
        dfrom_state = [
            sum(
                (_over_steps(last[0] if v is None else v, dv) for v, dv in zip(operands[i], dproducts[i], strict=True)),
                start=jnp.zeros_like(kernel),
            )
            for i, kernel in enumerate(weights.from_state)
        ]
        dinputs = dz @ weights.joint[hidden:-1].T + dfrom_input @ weights.from_input[:-1].T
        dparams = dict(drest)
        dparams["kernel"] = jnp.concatenate([djoint[hidden:-1], dfrom_input_weights[:-1]], axis=1)
        dparams["recurrent_kernel"] = jnp.concatenate([djoint[:hidden], *dfrom_state], axis=1)
        if "bias" in params:
            dparams["bias"] = jnp.concatenate([djoint[-1], dfrom_input_weights[-1]])
        if "recurrent_bias" in params:
            biased = [self.cell.deferred.index(name) for name in self.cell.recurrently_biased]
            zero = jnp.zeros(hidden, recurrent.dtype)
            dparams["recurrent_bias"] = jnp.concatenate(
                [sum((dv.sum((0, 1)) for dv in dproducts[i]), start=zero) for i in biased]
            )
        return dparams, None, dinputs, dcarry, None, dstates


def _rest(params: dict[str, Any]) -> dict[str, Any]:
    """The parameters that the cell's step uses itself."""
    return {name: value for name, value in params.items() if name not in _FUSED}


def _over_steps(left: Float[Array, "time batch m"], right: Float[Array, "time batch n"]) -> Float[Array, "m n"]:
    """sum_t left_t^T right_t, as one matmul."""
    return jnp.tensordot(left, right, axes=((0, 1), (0, 1)))
