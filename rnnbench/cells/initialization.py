"""Initialisations of any cell that is written gate by gate: its recurrent kernels, or the biases that make it keep.

The options of the config group `init`. Each function returns an `Initialization`, which replaces a part of a new cell's
parameters. A cell without that part cannot take it, and says so.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jax.nn import initializers
from jaxtyping import Array, Float, PRNGKeyArray

from rnnbench.cells.base import GatedCell, Number, draw_blocks
from rnnbench.cells.initializers import Initializer, chrono_logits, identity_matrix

SQUARINGS = 24
"""Matrix squarings with which `spectral_radius` converges to about float32's precision."""


class Initialization(abc.ABC):
    """Replaces a part of a new cell's parameters."""

    @abc.abstractmethod
    def replaces(self, cell: GatedCell) -> tuple[str, ...]:
        """Returns the cell's own options that have no effect beside this initialisation.

        Raises:
            ValueError: the cell has nothing that could be replaced.
        """

    @abc.abstractmethod
    def replace(self, cell: GatedCell, rngs: nnx.Rngs) -> None:
        """Replaces the cell's parameters."""

    def __call__(self, cell: nnx.RNNCellBase, rngs: nnx.Rngs) -> None:
        """Replaces a part of the parameters of a new cell; the keys come from the stream `params`.

        Raises:
            ValueError: the cell cannot take this initialisation.
        """
        self.replaces(_gated(cell))
        self.replace(_gated(cell), rngs)

    def replaced_options(self, make_cell: Callable[..., nnx.RNNCellBase]) -> tuple[str, ...]:
        """Returns `replaces` for the cell that `make_cell(rngs=rngs)` would make, without making its arrays."""
        return self.replaces(_gated(nnx.eval_shape(lambda: make_cell(rngs=nnx.Rngs(0)))))


@dataclasses.dataclass(frozen=True)
class RecurrentKernels(Initialization):
    """Draws U of every recurrent gate anew."""

    draw: Initializer

    def replaces(self, cell: GatedCell) -> tuple[str, ...]:
        """Returns `recurrent_kernel_init`."""
        name = type(cell).__name__
        if cell.recurrent_kernel is None:
            raise ValueError(f"expected a cell with a recurrent kernel; no gate of {name} sees h")
        if type(cell).effective is not GatedCell.effective:
            raise ValueError(f"expected a cell whose recurrent kernel is free; {name} constrains its own")
        if cell.gate_features != cell.hidden_features:
            raise ValueError(
                f"expected a cell with square recurrent kernels; those of {name} are "
                f"{cell.hidden_features} x {cell.gate_features}"
            )
        return ("recurrent_kernel_init",)

    def replace(self, cell: GatedCell, rngs: nnx.Rngs) -> None:
        """Replaces `recurrent_kernel`, with an own draw for each gate."""
        assert cell.recurrent_kernel is not None
        shape = (cell.hidden_features, cell.gate_features)
        cell.recurrent_kernel[...] = draw_blocks([self.draw] * len(cell.recurrent), shape, cell.param_dtype, rngs)


@dataclasses.dataclass(frozen=True)
class KeepingBiases(Initialization):
    """Sets the biases of the gates that keep a state, and maybe of those that write to it.

    Attributes:
        logits: maps a width to b for each unit: a gate that sees only its bias keeps a state by the factor sigmoid(b).
        writing: whether the gates that write get -b.
    """

    logits: Callable[[int], Float[Array, " gate"]]
    writing: bool

    def signs(self, cell: GatedCell) -> dict[str, int]:
        """Returns the sign of b in the bias of each gate that is set."""
        return {**cell.keeping, **(dict.fromkeys(cell.writing, -1) if self.writing and cell.keeping else {})}

    def replaces(self, cell: GatedCell) -> tuple[str, ...]:
        """Returns `bias_init` and the number that sets a gate's bias, such as `forget_bias`."""
        if not cell.keeping:
            raise ValueError(
                f"expected a cell with a gate that keeps a state, as LSTM and GRU have; {type(cell).__name__} has none"
            )
        if cell.bias is None:
            raise ValueError(f"expected a cell whose gates have a bias; this {type(cell).__name__} has none")
        # forget_bias may be that of another gate: coupled, an input gate forgets.
        return ("bias_init", "forget_bias", *(f"{gate}_bias" for gate in self.signs(cell)))

    def replace(self, cell: GatedCell, rngs: nnx.Rngs) -> None:
        """Replaces the gates' blocks of `bias`."""
        del rngs
        assert cell.bias is not None
        logits = self.logits(cell.gate_features).astype(cell.param_dtype)
        signs = self.signs(cell)
        parts = jnp.split(cell.bias[...], len(cell.blocks))
        own = [signs[gate] * logits if gate in signs else part for gate, part in zip(cell.blocks, parts, strict=True)]
        cell.bias[...] = jnp.concatenate(own)


def _gated(cell: nnx.RNNCellBase) -> GatedCell:
    if not isinstance(cell, GatedCell):
        raise ValueError(f"expected a cell that is written gate by gate; {type(cell).__name__} is not")
    return cell


def orthogonal(scale: Number = 1.0) -> Initialization:
    """Returns U = scale Q for a random orthogonal Q (Saxe et al. 2014)."""
    return RecurrentKernels(initializers.orthogonal(scale))


def identity(scale: Number = 1.0) -> Initialization:
    """Returns U = scale I, with scale 1 that of the IRNN (Le et al. 2015)."""
    return RecurrentKernels(lambda *arguments: scale * identity_matrix(*arguments))


def normal(std: Number = 0.1) -> Initialization:
    """Returns U with independent entries of a Gaussian with mean 0 and this standard deviation."""
    return RecurrentKernels(initializers.normal(std))


def spectral(radius: Number = 1.0) -> Initialization:
    """Returns a Gaussian U, scaled so that its spectral radius, the largest |eigenvalue|, is `radius`."""
    return RecurrentKernels(lambda *arguments: _scaled(jax.random.normal(*arguments), radius))


def sparse(connections: int = 15, radius: Number = 0.95) -> Initialization:
    """Returns a sparse Gaussian U with a spectral radius (Pascanu et al. 2013).

    Args:
        connections: the units that each unit sees, drawn without replacement: nonzero entries in a column of U.
        radius: the spectral radius.

    Raises:
        ValueError: `connections` is less than 1.
    """
    if connections < 1:
        raise ValueError(f"connections: expected 1 or more, got {connections}")

    def draw(key: PRNGKeyArray, shape: tuple[int, int], dtype: Any) -> Array:
        values, order = jax.random.split(key)
        rows = jnp.broadcast_to(jnp.arange(shape[0])[:, None], shape)
        seen = jax.random.permutation(order, rows, axis=0, independent=True) < connections
        return _scaled(jnp.where(seen, jax.random.normal(values, shape, dtype), 0.0), radius)

    return RecurrentKernels(draw)


def np_rnn() -> Initialization:
    """Returns the U of the np-RNN, which is positive definite with 1 as its largest eigenvalue.

        U = (A + I) / lambda_max(A + I),    A = R^T R / n,    R a standard Gaussian

    From Talathi & Vartak (2015), for a vanilla RNN of ReLU units.
    """

    def draw(key: PRNGKeyArray, shape: tuple[int, int], dtype: Any) -> Array:
        r = jax.random.normal(key, shape, dtype)
        return _scaled(r.T @ r / shape[0] + jnp.eye(*shape, dtype=dtype), 1.0)

    return RecurrentKernels(draw)


def bias(value: Number = 1.0) -> Initialization:
    """Returns the bias of the gates that keep a state, such as the forget gate of an LSTM or the update gate of a GRU.

    With a positive value a state is kept longer, whatever the cell's convention: where a gate of 0 keeps, as in the
    minimal gated unit, the bias is -value.
    """
    return KeepingBiases(lambda n: jnp.full(n, value, jnp.float32), writing=False)


def chrono(longest: Number) -> Initialization:
    """Returns biases for memories of 1 to `longest` steps (Tallec & Ollivier 2018); see `rnnbench.cells.chrono`.

    For an LSTM these are b_f and b_i = -b_f, for a GRU that of the update gate.

    Args:
        longest: T_max, the longest dependency in steps; more than 2.

    Raises:
        ValueError: `longest` is not more than 2.
    """
    if isinstance(longest, int | float) and not longest > 2:
        raise ValueError(f"longest: expected more than 2 steps, got {longest}")
    return KeepingBiases(lambda n: chrono_logits(n, longest, jnp.float32), writing=True)


def spectral_radius(matrix: Float[Array, "n n"]) -> Float[Array, ""]:
    """Returns the largest |eigenvalue| of a matrix, on any device: JAX finds eigenvalues on CPUs only.

        rho(A) = lim ||A^m||^(1/m),    m = 2^k      (Gelfand's formula)

    A is squared again and again, and divided by its norm each time.
    """
    logarithm = jnp.zeros((), matrix.dtype)
    for k in range(SQUARINGS):
        norm = jnp.linalg.norm(matrix)
        logarithm += jnp.log(norm) / 2**k
        matrix = matrix / norm
        matrix = jnp.matmul(matrix, matrix, precision="highest")
    return jnp.exp(logarithm)


def _scaled(matrix: Float[Array, "n n"], radius: Any) -> Float[Array, "n n"]:
    """Returns a matrix with another spectral radius."""
    return matrix * (radius / spectral_radius(matrix))
