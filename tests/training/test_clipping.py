"""Clipping and weight decay: which gradient the optimizer gets, and which parameters decay."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import rnnbench
from rnnbench.commands import cli
from rnnbench.config.schema import Config
from rnnbench.training.optimizer import make_clipping, make_optimizer
from rnnbench.training.program import program
from tests.helpers import optax_promotion

Compose = Callable[..., Config]
OFF = "train.clip_norm=null"


def gradient() -> dict[str, jax.Array]:
    draw = np.random.default_rng(0)
    return {name: jnp.asarray(draw.normal(size=shape), jnp.float32) for name, shape in SHAPES.items()}


SHAPES = {"kernel": (3, 4), "bias": (4,)}
WEIGHTS = {"kernel": jnp.linspace(-1.0, 1.0, 12).reshape(3, 4), "bias": jnp.zeros(4)}


def clipped(config: Config) -> dict[str, np.ndarray]:
    clipping = make_clipping(config, {})
    assert clipping is not None
    with optax_promotion():
        updates, _ = clipping.update(gradient(), clipping.init(WEIGHTS), WEIGHTS)
    return {name: np.asarray(value) for name, value in updates.items()}


def test_by_value_by_norm_and_by_ratio(compose: Compose) -> None:
    g = {name: np.asarray(value) for name, value in gradient().items()}
    by_value = clipped(compose(OFF, "train.clip_value=0.5"))
    for name, value in g.items():
        np.testing.assert_allclose(by_value[name], np.clip(value, -0.5, 0.5))
    norm = np.sqrt(sum(np.sum(value**2) for value in g.values()))
    by_norm = clipped(compose("train.clip_norm=0.5"))
    for name, value in g.items():
        np.testing.assert_allclose(by_norm[name], value * 0.5 / norm, rtol=1e-5)
    by_ratio = clipped(compose(OFF, "train.clip_ratio=0.1"))
    # A unit's weights are a column of a kernel. All biases count as one unit, whose norm counts as 0.001 if it is less.
    columns = np.linalg.norm(g["kernel"], axis=0)
    largest = 0.1 * np.linalg.norm(WEIGHTS["kernel"], axis=0)
    np.testing.assert_allclose(by_ratio["kernel"], g["kernel"] * np.minimum(1, largest / columns), rtol=1e-5)
    assert (columns > largest).any()
    np.testing.assert_allclose(by_ratio["bias"], g["bias"] * 1e-4 / np.linalg.norm(g["bias"]), rtol=1e-5)


def test_values_come_before_the_norm_and_the_ratio_after_it(compose: Compose) -> None:
    g = {name: np.clip(value, -0.5, 0.5) for name, value in gradient().items()}
    norm = np.sqrt(sum(np.sum(value**2) for value in g.values()))
    found = clipped(compose("train.clip_value=0.5", "train.clip_norm=1.0", "train.clip_ratio=1000.0"))
    assert norm > 1
    np.testing.assert_allclose(found["kernel"], g["kernel"] / norm, rtol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found["bias"]), min(1.0, np.linalg.norm(g["bias"]) / norm), rtol=1e-5)


def test_without_limits_nothing_is_clipped(compose: Compose) -> None:
    assert make_clipping(compose(OFF), {}) is None


def test_a_limit_is_part_of_the_state(compose: Compose) -> None:
    """So it is a value at run time whether it is folded or not, and both round alike."""
    config = compose("train.clip_norm=0.5")
    assert optax.tree.get(program([config]).init(config).opt_state, "max_norm") == 0.5


@pytest.mark.parametrize(
    ("limit", "expected"),
    [("train.clip_value=1e9", 0), ("train.clip_value=1e-9", 1), ("train.clip_ratio=1e9", 0), (f"{OFF}", 0)],
)
def test_a_step_is_counted_as_clipped_if_its_gradient_changed(compose: Compose, limit: str, expected: int) -> None:
    config = compose(OFF, limit, "train.steps=3", "train.eval_every=3")
    shared = program([config])
    _, scalars = shared.segment(shared.place([shared.init(config)]))
    np.testing.assert_array_equal(scalars["clipped"][0], expected)


def test_weight_decay_leaves_biases_out(compose: Compose) -> None:
    """Without a gradient, AdamW multiplies a weight by 1 - learning_rate * weight_decay."""
    config = compose("model=lstm", "optimizer=adamw", "optimizer.weight_decay=0.5", "optimizer.learning_rate=0.1")
    shared = program([config])
    params = shared.init(config).params
    optimizer = make_optimizer(config, {})
    updates, _ = optimizer.update(jax.tree.map(jnp.zeros_like, params), optimizer.init(params), params)
    seen = set()
    for (path, update), (_, value) in zip(
        jax.tree.leaves_with_path(updates), jax.tree.leaves_with_path(params), strict=True
    ):
        name = jax.tree_util.keystr(path, simple=True, separator=".")
        is_bias = name.endswith("bias")
        seen.add(is_bias)
        np.testing.assert_allclose(update, 0.0 if is_bias else -0.05 * value, rtol=1e-5, err_msg=name)
    assert seen == {True, False}


def test_a_mask_can_be_left_out(compose: Compose) -> None:
    config = compose("optimizer=adamw", "optimizer.mask=null", "optimizer.weight_decay=0.5")
    params = {"bias": jnp.ones(3)}
    optimizer = make_optimizer(config, {})
    updates, _ = optimizer.update({"bias": jnp.zeros(3)}, optimizer.init(params), params)
    assert jnp.all(updates["bias"] < 0)


def test_its_numbers_fold_and_its_records_are_read(tmp_path: Path) -> None:
    small = ["task.length=5", "model.hidden_size=4", "train.steps=4", "train.eval_every=2", "train.test_size=8"]
    decays = ["optimizer=adamw", "optimizer.learning_rate=0.1", "optimizer.weight_decay=0.0,1.0"]
    assert cli.main(["-m", *small, *decays, "report=false", f"output={tmp_path}"]) == 0
    assert len([*tmp_path.glob("adding-*")]) == 1
    runs = rnnbench.load_runs(tmp_path)
    assert runs["final.loss"].nunique() == 2, "the decay has no effect"
    assert rnnbench.load_model(tmp_path, runs["run_id"][0]).layers
