"""The gradient function of one step, with as few stored arrays as possible."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, PyTree

# XLA fuses these into the elementwise code of the reverse step, where computing them again is nearly free. If stored,
# each would be written to memory at every step of the scan and read back. The gradient is limited by memory bandwidth,
# so that would cost more than the arithmetic. Everything else (tanh, exp, log, division, matmuls, ...) is stored.
_CHEAP = {
    *("add", "sub", "mul", "neg", "max", "min", "select_n", "broadcast_in_dim", "convert_element_type", "copy"),
    "one_minus_square",  # in the derivative of tanh, from JAX 0.12 on
}


def is_expensive(primitive: Any, *_: Any, **__: Any) -> bool:
    """A policy for `jax.checkpoint`: returns whether to store a primitive's result instead of computing it again."""
    return primitive.name not in _CHEAP


@functools.partial(jax.tree_util.register_dataclass, data_fields=["kept"], meta_fields=["structure", "sources"])
@dataclasses.dataclass
class Linearized:
    """The gradient function of a step, without the arrays that the reverse step has anyway.

    A scan stacks its outputs over time. Some of the arrays that `jax.vjp` stores are arguments of the step: the gates
    and the previous states, which the scan stacks already, and the weights, which are the same at every step. Stacking
    these again would take up to twice the memory, and the time to write and read it.

    Attributes:
        kept: the other arrays.
        structure: the tree structure of the function.
        sources: for each array of the function, its position among the leaves of `available`; None if it is `kept`.
    """

    kept: list[Array]
    structure: Any
    sources: tuple[int | None, ...]

    @classmethod
    def thin(cls, function: Callable, available: PyTree) -> "Linearized":
        """Returns `function` without the arrays that are in `available`."""
        # Traced arrays have no values to compare, but when `jax.vjp` stores an argument, it stores the same object.
        arrays, structure = jax.tree.flatten(function)
        positions = {id(array): i for i, array in enumerate(jax.tree.leaves(available))}
        sources = tuple(positions.get(id(array)) for array in arrays)
        return cls([a for a, source in zip(arrays, sources, strict=True) if source is None], structure, sources)

    def restore(self, available: PyTree) -> Callable:
        """Returns the function; the missing arrays come from `available`, which has the same structure as in `thin`."""
        arrays, kept = jax.tree.leaves(available), iter(self.kept)
        return self.structure.unflatten([next(kept) if i is None else arrays[i] for i in self.sources])
