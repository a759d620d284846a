"""Truncated backpropagation: the values stay, and the gradient ends where a segment begins."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jax import lax

import rnnbench
from rnnbench.cells import GRU, LSTM, MinGRU, unroll
from rnnbench.config.schema import Config

Compose = Callable[..., Config]
TIME, BATCH, FEATURES, HIDDEN = 7, 2, 3, 4
MASK = jnp.array([[1, 1, 1, 1, 1, 1, 1], [0, 1, 1, 0, 1, 1, 0]], bool).T


def by_hand(cell: nnx.RNNCellBase, x: jax.Array, every: int) -> jax.Array:
    """Returns the outputs, computed step by step, without a gradient from a segment to the one before."""
    carry = cell.initialize_carry(x.shape[1:], nnx.Rngs(0))
    output, outputs = jnp.zeros((BATCH, HIDDEN), x.dtype), []
    for t in range(TIME):
        if t % every == 0:
            carry = lax.stop_gradient(carry)
            output = lax.stop_gradient(output)
        new, h = cell(carry, x[t])

        def held(new: jax.Array, last: jax.Array, t: int = t) -> jax.Array:
            return jnp.where(MASK[t][:, None], new, last)

        carry = jax.tree.map(held, new, carry)
        output = held(h, output)
        outputs.append(output)
    return jnp.stack(outputs)


@pytest.mark.parametrize("every", [1, 2, 3, 7, 9])
@pytest.mark.parametrize("make", [LSTM, GRU, nnx.SimpleCell])
def test_the_gradient_ends_where_a_segment_begins(make: type, every: int) -> None:
    cell = make(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
    graphdef, params, constants = nnx.split(cell, nnx.Param, ...)
    x = jax.random.normal(jax.random.key(1), (TIME, BATCH, FEATURES), jnp.float32)

    def loss(params: nnx.State, x: jax.Array, run: Callable) -> jax.Array:
        return jnp.sum(jnp.sin(run(nnx.merge(graphdef, params, constants), x)))

    def own(cell: nnx.RNNCellBase, x: jax.Array) -> jax.Array:
        return unroll(cell, x, mask=MASK, truncate=every)[1]

    def loop(cell: nnx.RNNCellBase, x: jax.Array) -> jax.Array:
        return by_hand(cell, x, every)

    found, expected = (jax.value_and_grad(loss, (0, 1))(params, x, run) for run in (own, loop))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6), found, expected)


def test_without_a_boundary_between_them_a_step_reaches_the_output() -> None:
    """With segments of three steps, the last output of seven depends on the seventh input alone; else on all."""
    cell = MinGRU(FEATURES, HIDDEN, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(1), (TIME, BATCH, FEATURES), jnp.float32)

    def reached(every: int | None) -> list[bool]:
        last = jax.grad(lambda x: jnp.sum(unroll(cell, x, last_only=True, truncate=every)[1]))(x)
        return [bool(jnp.any(last[t])) for t in range(TIME)]

    assert reached(3) == [False] * 6 + [True]
    assert reached(4) == [False] * 4 + [True] * 3
    assert reached(None) == [True] * TIME


def test_a_truncated_training_is_another_run(compose: Compose, tmp_path: Path) -> None:
    """The first loss is the same, the first gradient is not; segments as long as the sequence change nothing."""
    for truncate in ("null", 2, 6):
        rnnbench.train([compose(f"train.truncate={truncate}", "train.log_every=1", f"output={tmp_path}")])
    runs = rnnbench.load_runs(tmp_path).set_index("run_id")["train.truncate"].fillna(0)
    found = rnnbench.load_metrics(tmp_path).query("split == 'train' and step == 1").set_index("run_id")
    loss, norm = (found[found["metric"] == name]["value"].rename(index=runs) for name in ("loss", "grad_norm"))
    np.testing.assert_allclose(loss, loss[0], rtol=1e-6)
    assert norm[6] == pytest.approx(norm[0], rel=1e-5)
    assert norm[2] != pytest.approx(norm[0], rel=1e-2)
