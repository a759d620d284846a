"""How a small change of the state grows or shrinks: singular values, Lyapunov exponents, spectral radii.

All states of a cell (h; for an LSTM h and c) form one vector s of S numbers, s_{t+1} = F(s_t, x_{t+1}).
"""

import functools
from collections.abc import Callable, Sequence
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from flax import nnx
from jax import lax
from jax.flatten_util import ravel_pytree
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from rnnbench.cells.base import is_gated
from rnnbench.model import Model, first_state, state_names
from rnnbench.probes.base import Columns, Probe
from rnnbench.tasks.base import Example, Task

EXACT_UP_TO = 256
"""Up to this number of hidden units, the full Jacobian is computed."""

Inputs = Float[Array, "time features"]
Step = Callable[[Float[Array, " S"], Float[Array, " features"]], Float[Array, " S"]]
Linear = Callable[[Float[Array, " n"]], Float[Array, " m"]]


class Jacobians(Probe):
    """Singular values of ds_T / ds_{T-k} for several lags k, Lyapunov exponents, and spectral radii.

    Values are medians over the first sequences of the probe batch; T is the answer. Table `spectra`: `kind` is
    "singular_value" (of the first state, or of all states together), "lyapunov_exponent" (of all states, lag 0) or
    "spectral_radius" (of a gate's recurrent kernel; `state` holds the gate's name, lag 0).

    Args:
        lags: the lags k in steps; by default 1, 2, 4, ... up to the answer.
        sequences: number of sequences.
        exponents: maximum number of Lyapunov exponents.

    Raises:
        ValueError: a number is below 1.
    """

    name = "jacobians"
    tables: ClassVar = {
        "spectra": {
            "layer": pa.int64(),
            "kind": pa.string(),
            "state": pa.string(),
            "lag": pa.int64(),
            "number": pa.int64(),
            "value": pa.float64(),
        }
    }
    figures: ClassVar = {
        "spectra": ("rnnbench.figures.jacobians.singular_values", "rnnbench.figures.jacobians.lyapunov_exponents")
    }
    headlines: ClassVar = {
        "jacobian_norm": "norm of dh_T/dh_t, of the top layer's first state over the longest lag",
        "lyapunov_exponent": "the largest Lyapunov exponent of the top layer, in 1 / step",
        "spectral_radius": "the largest spectral radius of a recurrent kernel of the top layer",
    }

    def __init__(self, lags: Sequence[int] | None = None, sequences: int = 8, exponents: int = 64) -> None:
        for name, least in (("lags", min(lags, default=0) if lags is not None else 1), ("sequences", sequences)):
            if least < 1:
                raise ValueError(f"{name}: expected whole numbers, 1 or more, got {least}")
        if exponents < 1:
            raise ValueError(f"exponents: expected a whole number, 1 or more, got {exponents}")
        self.lags, self.sequences, self.exponents = lags, sequences, exponents

    def measure(self, model: Model, task: Task, batch: Example, answer: int) -> PyTree:
        """Returns the values by (layer, kind, states, lag), and the recurrent kernels by layer and gate.

        Raises:
            ValueError: a lag is longer than the sequence.
        """
        del task
        lags = self.lags or [2**k for k in range(answer.bit_length())]
        if max(lags) > answer:
            raise ValueError(f"lags: expected 1 to the {answer} steps up to the answer, got {max(lags)}")
        spectra, kernels = {}, {}
        for layer, (cell, xs) in enumerate(
            zip(model.layers, model.layer_inputs(batch.inputs, batch.mask), strict=True)
        ):
            names = state_names(cell)
            sequences = jnp.swapaxes(xs[:answer, : self.sequences], 0, 1)

            def median(
                measure: Callable[[Array], Array], sequences: Float[Array, "sequences time features"] = sequences
            ) -> Float[Array, " n"]:
                # One by one: two batched decompositions at once can deadlock XLA's thread pool on a CPU.
                return jnp.median(lax.map(measure, sequences), axis=0)

            for states in dict.fromkeys([(first_state(cell),), names]):
                for lag in lags:
                    measure = functools.partial(singular_values, cell, lag=lag, states=states)
                    spectra[layer, "singular_value", ",".join(states), lag] = median(measure)
            exponents = functools.partial(lyapunov_exponents, cell, warmup=answer // 4, count=self.exponents)
            spectra[layer, "lyapunov_exponent", ",".join(names), 0] = median(exponents)
            kernels[layer] = square_kernels(cell)
        return spectra, kernels

    def rows(self, measured: PyTree, model: Model, task: Task) -> dict[str, list[Columns]]:
        """Returns a row for every value, numbered from the largest."""
        del model, task
        spectra, kernels = measured
        radii = {
            (layer, "spectral_radius", gate, 0): np.array([spectral_radius(kernel)])
            for layer, of_layer in kernels.items()
            for gate, kernel in of_layer.items()
        }
        return {
            "spectra": [
                {"layer": layer, "kind": kind, "state": state, "lag": lag, "number": np.arange(len(own)), "value": own}
                for (layer, kind, state, lag), own in {**spectra, **radii}.items()
            ]
        }

    def headline(self, measured: PyTree, model: Model) -> dict[str, float]:
        """Returns the numbers of the top layer."""
        spectra, kernels = measured
        top = len(model.layers) - 1
        names = state_names(model.layers[top])
        longest = max(lag for layer, kind, _, lag in spectra if (layer, kind) == (top, "singular_value"))
        radii = [spectral_radius(kernel) for kernel in kernels[top].values()]
        return {
            "jacobian_norm": float(spectra[top, "singular_value", first_state(model.layers[top]), longest].max()),
            "lyapunov_exponent": float(spectra[top, "lyapunov_exponent", ",".join(names), 0].max()),
            "spectral_radius": max(radii, default=float("nan")),
        }


def singular_values(
    cell: nnx.RNNCellBase,
    inputs: Inputs,
    lag: int,
    states: Sequence[str] = ("h",),
    count: int | None = None,
) -> Float[Array, " count"]:
    """Returns the largest singular values of J = ds_T / ds_{T - lag} along one sequence of T inputs, largest first.

    They say how much a change of the state at T - lag can grow (above 1) or must shrink (below 1) until T; Pascanu et
    al. (2013) bound them. Up to 256 hidden units, J is computed and decomposed. Above that, the largest values come
    from products with J and its transpose (`randomized_singular_values`).

    Args:
        cell: the cell; it starts from its initial state.
        inputs: the cell's inputs.
        lag: number of steps, 1 to T.
        states: names of the states at both ends, such as ("h",) for dh_T / dh_{T - lag}. The other states at T - lag
            are held constant.
        count: how many values; by default all, or 16 if they are not computed exactly.

    Raises:
        ValueError: the lag or a state does not exist.
    """
    if not 1 <= lag <= len(inputs):
        raise ValueError(f"lag: expected 1 to the {len(inputs)} steps of the inputs, got {lag}")
    names = state_names(cell)
    if unknown := set(states) - set(names):
        raise ValueError(f"states: expected some of {', '.join(names)}, got {', '.join(sorted(unknown))}")
    step, first = _as_vector(cell, inputs)
    start = lax.scan(lambda s, x: (step(s, x), None), first, inputs[: len(inputs) - lag])[0]
    sizes = [leaf.size for leaf in jax.tree.leaves(cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0)))]
    numbers = dict(zip(names, np.split(np.arange(start.size), np.cumsum(sizes)[:-1]), strict=True))
    chosen = np.concatenate([numbers[name] for name in states])

    def after_lag(part: Float[Array, " n"]) -> Float[Array, " n"]:
        state = start.at[chosen].set(part)
        return lax.scan(lambda s, x: (step(s, x), None), state, inputs[len(inputs) - lag :])[0][chosen]

    if max(sizes) <= EXACT_UP_TO:
        return jnp.linalg.svd(jax.jacfwd(after_lag)(start[chosen]), compute_uv=False)[:count]
    _, push = jax.linearize(after_lag, start[chosen])
    transpose = jax.linear_transpose(push, start[chosen])
    return randomized_singular_values(push, lambda v: transpose(v)[0], len(chosen), count or 16, jax.random.key(0))


def randomized_singular_values(
    apply: Linear, transpose: Linear, size: int, count: int, key: PRNGKeyArray, iterations: int = 8
) -> Float[Array, " count"]:
    """Returns the largest singular values of a linear map, by subspace iteration (Halko, Martinsson & Tropp 2011).

    Args:
        apply: maps v to A v.
        transpose: maps u to A^T u.
        size: length of v.
        count: how many values; the error falls as (s_{count+9} / s_i)^(2 iterations).
        key: for the initial directions.
        iterations: number of products with A and A^T.
    """
    width = min(count + 8, size)
    columns = jax.vmap(apply, in_axes=1, out_axes=1), jax.vmap(transpose, in_axes=1, out_axes=1)

    def iterate(basis: Float[Array, "size width"], _: None) -> tuple[Float[Array, "size width"], None]:
        return jnp.linalg.qr(columns[1](jnp.linalg.qr(columns[0](basis))[0]))[0], None

    basis = jnp.linalg.qr(jax.random.normal(key, (size, width)))[0]
    basis, _ = lax.scan(iterate, basis, None, length=iterations)
    return jnp.linalg.svd(columns[0](basis), compute_uv=False)[:count]


def lyapunov_exponents(
    cell: nnx.RNNCellBase, inputs: Inputs, warmup: int = 0, count: int | None = None
) -> Float[Array, " count"]:
    """Returns the Lyapunov exponents of the state along one sequence of inputs, in nats per step, largest first.

        Q_{t+1} R_{t+1} = J_t Q_t,   J_t = dF/ds at s_t,   lambda_i = mean over t of log |R_t[i, i]|

    by QR decomposition at every step (Benettin et al. 1980; for recurrent networks Engelken et al. 2023). An exponent
    of -0.1 shrinks a change of the state, and with it the gradient, by about a tenth per step.

    Args:
        cell: the cell; it starts from its initial state.
        inputs: the cell's inputs.
        warmup: number of first steps that do not count, while Q settles.
        count: how many exponents; by default one for each number of the state.

    Raises:
        ValueError: no step is left after the warm-up.
    """
    if not 0 <= warmup < len(inputs):
        raise ValueError(f"warmup: expected 0 or more and less than the {len(inputs)} steps, got {warmup}")
    step, first = _as_vector(cell, inputs)
    frame = jnp.eye(first.size)[:, : count or first.size]

    def advance(
        at: tuple[Float[Array, " S"], Float[Array, "S count"]], x: Float[Array, " features"]
    ) -> tuple[tuple[Float[Array, " S"], Float[Array, "S count"]], Float[Array, " count"]]:
        state, frame = at
        new, push = jax.linearize(lambda s: step(s, x), state)
        frame, upper = jnp.linalg.qr(jax.vmap(push, in_axes=1, out_axes=1)(frame))
        return (new, frame), jnp.log(jnp.abs(jnp.diagonal(upper)))

    _, logs = lax.scan(advance, (first, frame), inputs)
    return -jnp.sort(-jnp.mean(logs[warmup:], axis=0))


def square_kernels(cell: nnx.RNNCellBase) -> dict[str, Float[Array, "hidden hidden"]]:
    """Returns each recurrent gate's U by name, if it is square; nothing for a cell that is not gated."""
    kernels = cell.recurrent_kernels() if is_gated(cell) else {}
    return {name: kernel for name, kernel in kernels.items() if kernel.shape[0] == kernel.shape[1]}


def spectral_radius(kernel: Float[np.ndarray, "hidden hidden"]) -> float:
    """Returns the largest |eigenvalue|."""
    return float(np.abs(np.linalg.eigvals(np.asarray(kernel, np.float64))).max())


def _as_vector(cell: nnx.RNNCellBase, inputs: Inputs) -> tuple[Step, Float[Array, " S"]]:
    """Returns a step of the cell on one vector (its states, in order), and the initial vector."""
    first, unravel = ravel_pytree(cell.initialize_carry(inputs.shape[1:], nnx.Rngs(0)))

    def step(state: Float[Array, " S"], x: Float[Array, " features"]) -> Float[Array, " S"]:
        return ravel_pytree(cell(unravel(state), x)[0])[0]

    return step, first
