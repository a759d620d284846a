"""The parameters of a cell written gate by gate, arranged for its scan."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array

from rnnbench.cells.activations import BlockActivation
from rnnbench.cells.base import GatedCell

FUSED = ("kernel", "recurrent_kernel", "bias", "recurrent_bias")
"""Names of the parameters that a step uses only through its gates."""


class Weights(NamedTuple):
    """A gated cell's fused parameters, arranged for the scan.

    Attributes:
        joint: `[U; W; b]` of the joint gates, `(hidden + features + 1, joint * gate)`. State, input and bias need only
            one matmul, `[h, x, 1] @ joint`. Each gate's columns are multiplied by its scale in `BlockActivation`.
        from_input: `[W; b]` of the gates in `apart`, `(features + 1, apart * gate)`.
        from_state: U of each recurrent gate in `apart`. The step decides which state it multiplies.
        from_state_bias: the recurrent bias of each of these gates, or None.
    """

    joint: Array
    from_input: Array
    from_state: tuple[Array, ...]
    from_state_bias: tuple[Array | None, ...]


def projected(cell: GatedCell) -> tuple[str, ...]:
    """Returns the names of the recurrent gates in `apart`, in the order of `Weights.from_state`."""
    return tuple(name for name in cell.apart if cell.gates[name].recurrent)


def arrange(cell: GatedCell, activation: BlockActivation) -> Weights:
    """Returns a cell's parameters, arranged for its scan; `sweep` is the activation of its joint gates."""
    width, names = cell.gate_features, projected(cell)
    split = len(cell.joint) * width
    kernel = cell.kernel[...]
    bias = (jnp.zeros(kernel.shape[1], kernel.dtype) if cell.bias is None else cell.bias[...])[None]
    kernels, biases = cell.recurrent_kernels(), cell.recurrent_biases()
    empty = jnp.zeros((cell.hidden_features, 0), kernel.dtype)
    recurrent = jnp.concatenate([empty, *(kernels[name] for name in cell.joint)], axis=1)
    joint = jnp.concatenate([recurrent, kernel[:, :split], bias[:, :split]])
    return Weights(
        joint=joint * jnp.repeat(jnp.asarray(activation.scales, joint.dtype), width)[None],
        from_input=jnp.concatenate([kernel[:, split:], bias[:, split:]]),
        from_state=tuple(kernels[name] for name in names),
        from_state_bias=tuple(biases.get(name) for name in names),
    )
