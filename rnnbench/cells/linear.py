"""Cells that are linear in their state: the base class, and the recurrence that unrolls them in parallel over time."""

import abc
from typing import Any, ClassVar, Literal, TypeGuard

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Inexact, PyTree

from rnnbench.cells.base import GatedCell, States
from rnnbench.cells.gates import Gates
from rnnbench.cells.scanning import Hidden, Inputs, Mask, remat

Method = Literal["sequential", "parallel"]
"""How a linear recurrence is computed: step by step, or in a number of rounds that grows with the logarithm of T."""


class LinearCell(GatedCell):
    """Base class of cells whose gates see the input alone, and whose state s obeys a linear recurrence.

        s' = a * s + b,      h' = output(gates, s')

    The subclass declares its gates with `recurrent=False`, gives a and b in `recurrence`, and h in `output`. If s is
    the output itself, it is the only state, `h`; otherwise the states are `h` and `c`, where c is s and no step depends
    on the last h. In return, all gates of all steps are computed at once, and the recurrence in parallel over time
    where that is faster (`unroll`). The cell is a `GatedCell` in everything else.

    Attributes:
        is_complex: whether s is complex. The state then holds its real parts, followed by its imaginary parts.
    """

    is_complex: ClassVar[bool] = False

    def __init__(self, *args: Any, **options: Any):
        """Creates the parameters; see `GatedCell`.

        Raises:
            TypeError: a gate sees the state.
            ValueError: the state is complex, and `param_dtype` is a half precision.
        """
        dtype = options.get("param_dtype", jnp.float32)
        if self.is_complex and jnp.finfo(dtype).bits < 32:
            raise ValueError(
                f"param_dtype: expected float32 or float64, since the state is complex, got {jnp.dtype(dtype).name}"
            )
        for name, gate in self.gates.items():
            if gate.recurrent or gate.deferred:
                raise TypeError(
                    f"{type(self).__name__}.gates: expected Gate(activation, recurrent=False) for {name!r}, since the "
                    "gates of a linear cell depend on the input alone"
                )
        super().__init__(*args, **options)

    @abc.abstractmethod
    def recurrence(self, gates: Gates, /) -> tuple[Array, Array]:
        """Returns a and b, each `(*axes, width of s)`, given gates with any leading axes; a may lack some of them."""

    def output(self, gates: Gates, state: Inexact[Array, "*axes _"], /) -> Array:
        """Returns h', given the gates and s'; by default s' itself."""
        del gates
        return state

    @property
    def state_features(self) -> dict[str, int]:
        """Width of each state by name: s is as wide as a gate, or twice as wide if it is complex."""
        widths = super().state_features
        return {**widths, self.states[-1]: widths[self.states[-1]] * (2 if self.is_complex else 1)}

    def step(self, gates: Gates, /, *states: Any, **_: Any) -> Array | tuple[Array, ...]:
        """Returns the new states: s', or h' and s'."""
        a, b = self.recurrence(gates)
        new = jnp.broadcast_to(a, b.shape) * self.as_state(states[-1]) + b
        stored = self.as_stored(new)
        return stored if len(self.states) == 1 else (self.output(gates, new), stored)

    def retention(self, gates: Gates) -> dict[str, Array]:
        """Returns a, which keeps s, if it is real."""
        if self.is_complex:
            return {}
        a, b = self.recurrence(gates)
        return {self.states[-1]: jnp.broadcast_to(a, b.shape)}

    def as_state(self, stored: Array) -> Array:
        """Returns s from the array that holds it."""
        return lax.complex(*jnp.split(stored, 2, axis=-1)) if self.is_complex else stored

    def as_stored(self, state: Array) -> Array:
        """Returns the array that holds s."""
        return jnp.concatenate([state.real, state.imag], axis=-1) if self.is_complex else state


def is_linear(cell: nnx.RNNCellBase) -> TypeGuard[LinearCell]:
    """Returns whether a cell is a `LinearCell` that overrides neither `step` nor `__call__`."""
    own: Any = type(cell)
    return isinstance(cell, LinearCell) and own.step is LinearCell.step and own.__call__ is GatedCell.__call__


def check_method(cell: nnx.RNNCellBase, method: Method | None) -> None:
    """Raises a ValueError if a cell cannot be unrolled by a method."""
    if method == "parallel" and not is_linear(cell):
        raise ValueError(
            f"unroll: expected sequential for {type(cell).__name__}, got parallel, which only cells that are linear in "
            "their state have (rnnbench.cells.LinearCell)"
        )


def linear_unroll(
    cell: LinearCell,
    inputs: Inputs,
    carry: States,
    mask: Mask | None,
    perturbation: States | None,
    last_only: bool,
    remat_every: int | None,
    method: Method | None,
) -> tuple[States, Hidden]:
    """Runs `unroll` with all gates of all steps at once.

    By default, the recurrence is sequential on a CPU and parallel elsewhere. On one core of a CPU, the gradient of
    minGRU and LRU takes 1.5 to 2.5 times as long in parallel (64 and 256 units, 100 and 1,000 steps, batch 64). A GPU
    or TPU, where each step waits for the last, should gain from it; this is not measured.
    """
    method = method or ("sequential" if jax.default_backend() == "cpu" else "parallel")

    def scan(first: States, xs: PyTree) -> tuple[States, Hidden | None]:
        inputs, mask, eps = xs
        gates = Gates(cell.gates_of(first, inputs))
        a, b = cell.recurrence(gates)
        added = None if eps is None else cell.as_state(eps[-1])
        states = _held_recurrence(a, b, cell.as_state(first[-1]), mask, added, method)
        stored = cell.as_stored(states)
        if len(first) == 1:
            return (stored[-1],), None if last_only else stored
        outputs = cell.output(gates, states if added is None else states - added)
        if mask is not None or eps is not None:  # a padded step repeats the last output, with what was added to it
            added = None if eps is None else eps[0]
            outputs = _held_recurrence(jnp.zeros_like(outputs), outputs, first[0], mask, added, method)
        return (outputs[-1], stored[-1]), None if last_only else outputs

    last, outputs = remat(scan, carry, (inputs, mask, perturbation), remat_every)
    return last, last[0] if outputs is None else outputs


def _held_recurrence(
    a: Array, b: Array, first: Array, mask: Mask | None, eps: Array | None, method: Method
) -> Inexact[Array, "time batch _"]:
    """Returns s_t = a_t s_{t-1} + b_t + eps_t for all t; where the mask is False, s_t = s_{t-1} + eps_t."""
    a = jnp.broadcast_to(a, b.shape)
    if mask is not None:
        real = mask[..., None]
        a, b = jnp.where(real, a, jnp.ones_like(a)), jnp.where(real, b, jnp.zeros_like(b))
    return linear_recurrence(a, b if eps is None else b + eps, first, method)


def linear_recurrence(
    a: Inexact[Array, "time batch _"],
    b: Inexact[Array, "time batch _"],
    first: Inexact[Array, "batch _"],
    method: Method,
) -> Inexact[Array, "time batch _"]:
    """Returns s_t = a_t * s_{t-1} + b_t for t = 0, 1, ..., with s_{-1} = `first`.

    In parallel, it is a scan with an associative operator (Blelloch 1990; Martin & Cundy 2018):

        (a, b) . (a', b') = (a' a, a' b + b')
    """
    if method == "sequential":

        def body(s: Array, ab: tuple[Array, Array]) -> tuple[Array, Array]:
            s = ab[0] * s + ab[1]
            return s, s

        return lax.scan(body, first, (a, b))[1]

    def compose(earlier: tuple[Array, Array], later: tuple[Array, Array]) -> tuple[Array, Array]:
        return later[0] * earlier[0], later[0] * earlier[1] + later[1]

    return lax.associative_scan(compose, (a, b.at[0].add(a[0] * first)))[1]
