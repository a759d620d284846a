"""The scan over time of a cell written gate by gate, with its own gradient."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float, PyTree

from rnnbench.cells.activations import BlockActivation
from rnnbench.cells.base import GatedCell, States
from rnnbench.cells.gates import Drive
from rnnbench.cells.linearized import Linearized, is_expensive
from rnnbench.cells.scanning import Hidden, Inputs, Mask, hold, in_chunks, remat
from rnnbench.cells.weights import FUSED, Weights, arrange, projected


class Transposed(NamedTuple):
    """Kernels transposed before the scan: a matmul within the scan would transpose its kernel at every step.

    Attributes:
        block: transpose of U of the joint gates, next to U of each projection of h itself.
        from_state: transposes of `Weights.from_state`.
    """

    block: Array
    from_state: tuple[Array, ...]


def _append_one(x: Float[Array, "*axes features"]) -> Float[Array, "*axes features+1"]:
    return jnp.concatenate([x, jnp.ones((*x.shape[:-1], 1), x.dtype)], axis=-1)


def gated_unroll(
    cell: GatedCell,
    inputs: Inputs,
    carry: States,
    mask: Mask | None,
    perturbation: States | None,
    last_only: bool,
    remat_every: int | None,
) -> tuple[States, Hidden]:
    """Runs `unroll` for a cell written gate by gate."""
    graphdef, *parts = nnx.split(cell, _is_differentiable, ...)
    params, constants = map(nnx.to_pure_dict, parts)
    gated = _GatedScan(graphdef, params, constants, last_only)
    weights, rest = arrange(cell, gated.activation), _rest(params)
    transposed = gated.transpose(weights)
    chunk = _chunk(len(inputs), len(cell.gates) * inputs.shape[1] * cell.gate_features * inputs.itemsize)

    def scan(first: States, xs: PyTree) -> tuple[States, Hidden | None]:
        return in_chunks(functools.partial(gated.run, weights, transposed, rest, constants), first, xs, chunk)

    last, outputs = remat(scan, tuple(carry), (_append_one(inputs), mask, perturbation), remat_every)
    return last, last[0] if outputs is None else outputs


CACHE_BYTES = 2**19


def _chunk(steps: int, step_bytes: int) -> int:
    """Returns the number of steps in a chunk: as many as keep the gates' gradients in a core's cache.

    The weights' gradients are summed after each chunk. If the gates' gradients of all steps take at most six times the
    cache, there is only one chunk, because chunks cost another copy of everything that the reverse scan needs. A number
    that divides `steps` is preferred, because a remainder is compiled as a second scan.
    """
    if steps * step_bytes <= 6 * CACHE_BYTES:
        return steps
    most = max(CACHE_BYTES // step_bytes, 10)
    return next((n for n in range(most, most // 2, -1) if steps % n == 0), most)


def _is_differentiable(path: tuple[Any, ...], value: Any) -> bool:
    """Filters for `nnx.split`: integers, booleans and keys in a cell have no gradient."""
    del path
    return bool(jnp.issubdtype(value.dtype, jnp.inexact))


@jax.custom_vjp
def _tap(value: Array, tap: Array) -> Array:
    """Returns `value`. The gradient with respect to it is also returned as the gradient with respect to `tap`."""
    del tap
    return value


_tap.defvjp(lambda value, tap: (value, None), lambda _, gradient: (gradient, gradient))


@jax.custom_vjp
def _project(state: Array, kernel: Array, transposed: Array) -> Array:
    """Returns `state @ kernel`. Its gradient flows only to `state`, by way of the transposed kernel."""
    del transposed
    return state @ kernel


_project.defvjp(
    lambda state, kernel, transposed: (state @ kernel, transposed),
    lambda transposed, gradient: (gradient @ transposed, None, None),
)


class _GatedScan:
    """The scan over a gated cell and its gradient, as functions of the cell's parameters.

    Holds only static values: a function with a custom gradient must not close over traced ones.
    """

    def __init__(self, graphdef: Any, params: dict[str, Any], constants: dict[str, Any], last_only: bool):
        self.graphdef = graphdef
        self.last_only = last_only
        self.abstract, shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), (params, constants))
        self.cell: GatedCell = nnx.merge(graphdef, self.abstract, shapes)
        self.activation = BlockActivation(tuple(self.cell.gates[name].activation for name in self.cell.joint))
        self.projections = self._find_projections(shapes)
        self.run = jax.custom_vjp(lambda *arguments: self.forward(*arguments, differentiated=False)[0])
        self.run.defvjp(self.forward, self.backward)

    def _find_projections(self, constants: Any) -> list[tuple[int, bool]]:
        """Returns for each `Drive.from_state` call in a step the gate's number, and whether h itself is projected."""
        found: list[tuple[int, bool]] = []

        def step(
            gates: list[Array], drives: list[Array], last: States, rest: dict[str, Any], constants: dict[str, Any]
        ) -> States:
            def project(i: int, state: Array) -> Array:
                found.append((i, state is last[0]))
                return jnp.zeros((*state.shape[:-1], self.cell.gate_features), state.dtype)

            return self.combine(gates, drives, last, rest, constants, project)

        cell = self.cell
        gate, *states = (
            jax.ShapeDtypeStruct((1, width), self.abstract["kernel"].dtype)
            for width in (cell.gate_features, *cell.state_features.values())
        )
        gates, drives = [gate] * len(cell.joint), [gate] * len(cell.apart)
        jax.eval_shape(step, gates, drives, tuple(states), _rest(self.abstract), constants)
        return found

    def combine(
        self,
        gates: list[Array],
        drives: list[Array],
        last: States,
        rest: dict[str, Any],
        constants: Any,
        project: Callable[[int, Array], Array],
    ) -> States:
        """Returns the new states from the cell's own step.

        Args:
            gates: the joint gates, activated.
            drives: the drives from the input of the gates in `apart`.
            last: the states before the step.
            rest: the parameters that the step uses directly.
            constants: the values in the cell that have no gradient.
            project: maps `(i, v)` to `v U_i`, plus the recurrent bias, for projected gate number i.

        Raises:
            TypeError: the step changes a variable of the cell.
        """
        cell = self.cell
        named: dict[str, Array | Drive] = dict(zip(cell.joint, gates, strict=True))
        numbers = {name: i for i, name in enumerate(projected(cell))}
        for name, z in zip(cell.apart, drives, strict=True):
            if cell.gates[name].deferred:
                named[name] = cell.drive(name, z, functools.partial(project, numbers.get(name, -1)))
            else:
                named[name] = cell.gates[name].activation(z)
        merged = nnx.merge(self.graphdef, {**self.abstract, **rest}, constants)
        before = _variables(merged)
        new = merged.combine(named, last)
        for path, value in _variables(merged).items():
            if value is not before.get(path):
                raise TypeError(
                    f"{type(cell).__name__}.step changes {path} of the cell: a step keeps nothing in the cell and "
                    "draws nothing at random; what the next step needs is a state"
                )
        return new

    def drives(self, from_input: Array | None) -> list[Array]:
        """Splits the product with `Weights.from_input` into the drives of the gates in `apart`."""
        return [] if from_input is None else jnp.split(from_input, len(self.cell.apart), axis=-1)

    def taps(self, like: Array) -> list[Array]:
        """Returns one tap, of zeros, for each projection, with the batch and the type of `like`."""
        return [jnp.zeros((*like.shape[:-1], self.cell.gate_features), like.dtype) for _ in self.projections]

    def transpose(self, weights: Weights) -> Transposed:
        """Returns the kernels as the reverse scan multiplies by them. No gradient flows through them."""
        recurrent = [weights.joint[: self.cell.hidden_features]]
        block = jnp.concatenate([*recurrent, *[weights.from_state[i] for i, is_h in self.projections if is_h]], axis=1)
        transposed = Transposed(block.T, tuple(kernel.T for kernel in weights.from_state))
        return lax.stop_gradient(lax.optimization_barrier(transposed))

    def forward(
        self,
        weights: Weights,
        transposed: Transposed,
        rest: dict[str, Any],
        constants: dict[str, Any],
        carry: States,
        xs: tuple[Inputs, Mask | None, States | None],
        *,
        differentiated: bool = True,
    ) -> tuple[tuple[States, Hidden | None], Any]:
        """Returns (last carry, outputs), and all that the gradient needs. The inputs end with a 1 for the bias."""
        inputs, mask, perturbation = xs
        from_input = inputs @ weights.from_input if self.cell.apart else None
        taps = self.taps(carry[0])

        def step(
            gates: list[Array], drives: list[Array], last: States, rest: dict[str, Any], taps: list[Array]
        ) -> tuple[States, list[Array]]:
            tap, operands = iter(taps), []

            def project(i: int, state: Array) -> Array:
                if state is last[0]:  # its gradient is computed with the joint gates' in one matmul
                    product = lax.stop_gradient(state @ weights.from_state[i])
                else:
                    product = _project(state, weights.from_state[i], transposed.from_state[i])
                    operands.append(state)
                bias = weights.from_state_bias[i]
                product = _tap(product, next(tap))
                return product if bias is None else product + bias[None]

            return self.combine(gates, drives, last, rest, constants, project), operands

        def body(last: States, xs: Any) -> tuple[States, Any]:
            x, from_input_t, mask_t, eps = xs
            # Stored gate by gate: XLA does not vectorise a reverse step that slices a stored block.
            block = jnp.concatenate([last[0], x], axis=-1) @ weights.joint
            activated = self.activation.split(self.activation.function(block))
            arguments = (self.activation.gates(activated), self.drives(from_input_t), last, rest, taps)
            if differentiated:
                checkpointed = jax.checkpoint(step, policy=is_expensive, prevent_cse=False)
                new, function, operands = jax.vjp(checkpointed, *arguments, has_aux=True)
                linearized = Linearized.thin(function, (arguments, transposed, weights.from_state_bias))
                kept = (activated, last, operands, linearized)
            else:
                (new, _), kept = step(*arguments), None
            new = hold(mask_t, new, last)
            if eps is not None:
                new = jax.tree.map(jnp.add, new, eps)
            return new, (None if self.last_only else new[0], kept)

        last, (hidden, kept) = lax.scan(body, carry, (inputs, from_input, mask, perturbation))
        return (last, hidden), (weights, transposed, rest, inputs, mask, perturbation is not None, from_input, kept)

    def backward(self, residuals: Any, gradient: tuple[States, Hidden | None]) -> tuple[Any, ...]:
        """Returns the gradients of weights, transposed kernels (None), rest, constants (None), first carry and `xs`."""
        weights, transposed, rest, inputs, mask, perturbed, from_input, kept = residuals
        activated, last, operands, linearized = kept
        activation = self.activation
        taps = self.taps(gradient[0][0])

        def body(dcarry: Any, xs: Any) -> tuple[Any, Any]:
            dstates, drest = dcarry
            dy, activated_t, from_input_t, last_t, linearized_t, mask_t = xs
            if dy is not None:
                dstates = (dstates[0] + dy, *dstates[1:])
            arguments = (activation.gates(activated_t), self.drives(from_input_t), last_t, rest, taps)
            function = linearized_t.restore((arguments, transposed, weights.from_state_bias))
            nothing = jax.tree.map(jnp.zeros_like, dstates)
            dgates, ddrives, dlast, drest_t, dtaps = function(hold(mask_t, dstates, nothing))
            dof_h = [d for d, (_, is_h) in zip(dtaps, self.projections, strict=True) if is_h]
            dof_others = [d for d, (_, is_h) in zip(dtaps, self.projections, strict=True) if not is_h]
            empty = dstates[0][:, :0]  # a cell may have no gate that sees h
            dblock = jnp.concatenate([empty, *activation.gradients(activated_t, dgates), *dof_h], axis=-1)
            dlast = (dlast[0] + dblock @ transposed.block, *dlast[1:])
            if mask_t is not None:
                dlast = jax.tree.map(jnp.add, dlast, hold(mask_t, nothing, dstates))
            dfrom_input = None if from_input_t is None else jnp.concatenate(ddrives, axis=-1)
            out = (dblock, dfrom_input, dof_others, dstates if perturbed else None)
            return (dlast, jax.tree.map(jnp.add, drest, drest_t)), out

        dlast, dhidden = gradient
        start = (dlast, jax.tree.map(jnp.zeros_like, rest))
        xs = (dhidden, activated, from_input, last, linearized, mask)
        (dcarry, drest), (dblock, dfrom_input, dof_others, dstates) = lax.scan(body, start, xs, reverse=True)

        gate = self.cell.gate_features
        width = len(self.cell.joint) * gate
        drecurrent = _over_steps(last[0], dblock)
        dz = dblock[..., :width]
        dfrom_state: list[Array] = [jnp.zeros_like(kernel) for kernel in weights.from_state]
        dbias = [None if bias is None else jnp.zeros_like(bias) for bias in weights.from_state_bias]
        of_h = [i for i, is_h in self.projections if is_h]
        of_others = [i for i, is_h in self.projections if not is_h]
        dproducts = [(i, dblock[..., width + n * gate :][..., :gate]) for n, i in enumerate(of_h)]
        for n, i in enumerate(of_h):
            dfrom_state[i] += drecurrent[:, width + n * gate :][:, :gate]
        for i, operand, dproduct in zip(of_others, operands, dof_others, strict=True):
            dfrom_state[i] += _over_steps(operand, dproduct)
            dproducts.append((i, dproduct))
        for i, dproduct in dproducts:
            if (bias := dbias[i]) is not None:
                dbias[i] = bias + dproduct.sum((0, 1))
        dinputs = dz @ weights.joint[self.cell.hidden_features :].T
        dfrom_input_weights = jnp.zeros_like(weights.from_input)
        if dfrom_input is not None:
            dfrom_input_weights = _over_steps(inputs, dfrom_input)
            dinputs += dfrom_input @ weights.from_input.T
        dweights = Weights(
            joint=jnp.concatenate([drecurrent[:, :width], _over_steps(inputs, dz)]),
            from_input=dfrom_input_weights,
            from_state=tuple(dfrom_state),
            from_state_bias=tuple(dbias),
        )
        return dweights, None, drest, None, dcarry, (dinputs, None, dstates)


def _variables(cell: GatedCell) -> dict[str, Any]:
    """Returns all values in a cell by path."""
    leaves = jax.tree.leaves_with_path(nnx.to_pure_dict(nnx.state(cell)))
    return {jax.tree_util.keystr(path, simple=True, separator="."): value for path, value in leaves}


def _rest(params: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters that the cell's step uses directly."""
    return {name: value for name, value in params.items() if name not in FUSED}


def _over_steps(left: Float[Array, "time batch m"], right: Float[Array, "time batch n"]) -> Float[Array, "m n"]:
    """Returns sum_t left_t^T right_t, computed as one matmul."""
    return jnp.tensordot(left, right, axes=((0, 1), (0, 1)))
