"""The gradient function of one step, with as little kept for it as there can be."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
from jaxtyping import Array, PyTree

# XLA fuses these into the elementwise code of the reverse step, where to compute them again is nearly free. Kept, each
# would be written to memory at every step of the scan and read back: the gradient is bound by memory, so that costs
# more than the arithmetic. Everything else (tanh, exp, log, division, matmuls, ...) is kept.
_CHEAP = {"add", "sub", "mul", "neg", "max", "min", "select_n", "broadcast_in_dim", "convert_element_type", "copy"}


def is_dear(primitive: Any, *_: Any, **__: Any) -> bool:
    """Whether the gradient keeps what a primitive computed, or else computes it again, as `jax.checkpoint` asks."""
    return primitive.name not in _CHEAP


@functools.partial(jax.tree_util.register_dataclass, data_fields=["kept"], meta_fields=["structure", "sources"])
@dataclasses.dataclass
class Linearized:
    """The gradient function of a step, without those of its arrays that are at hand anyway.

    What a scan puts out is stacked over time. Among the arrays that `jax.vjp` keeps are the step's own arguments: gates
    and last states, which the scan stacks already, and weights, which are the same at every step. To stack these
    again would take up to twice the memory, and time to write and read it.

    Attributes:
        kept: the other ones.
        structure: tree structure of the function.
        sources: for each of its arrays the position among those at hand, or None where it is kept.
    """

    kept: list[Array]
    structure: Any
    sources: tuple[int | None, ...]

    @classmethod
    def thin(cls, function: Callable, at_hand: PyTree) -> "Linearized":
        """Returns `function` without those of its arrays that are in `at_hand`."""
        # A traced array has no value to compare; but where `jax.vjp` keeps an argument, it keeps that very object.
        arrays, structure = jax.tree.flatten(function)
        positions = {id(array): i for i, array in enumerate(jax.tree.leaves(at_hand))}
        sources = tuple(positions.get(id(array)) for array in arrays)
        return cls([a for a, source in zip(arrays, sources, strict=True) if source is None], structure, sources)

    def restore(self, at_hand: PyTree) -> Callable:
        """Returns the function, with arrays from a tree like the one that it was thinned by."""
        arrays, kept = jax.tree.leaves(at_hand), iter(self.kept)
        return self.structure.unflatten([next(kept) if i is None else arrays[i] for i in self.sources])
