"""Dropout: what is dropped and when, against masks that are applied by hand."""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import rnnbench
from rnnbench.cells import GRU
from rnnbench.config.schema import Config
from rnnbench.dropout import Dropout
from rnnbench.errors import UserError
from rnnbench.tasks import CopyMemory
from rnnbench.training.program import program
from tests.helpers import BATCH, batch_of, build

Compose = Callable[..., Config]
KEYS = jax.random.split(jax.random.key(1), 50)
TASK = CopyMemory(length=6)


def test_the_share_of_the_rate_is_dropped_and_the_mean_stays() -> None:
    dropout = Dropout(KEYS, 0.3, jax.random.key(2), None)
    z = dropout.output(jnp.ones((40, 50, 8)), 0)
    assert {0.0, float(np.float32(1 / 0.7))} == {float(value) for value in np.unique(z)}
    assert float(jnp.mean(z == 0)) == pytest.approx(0.3, abs=0.01)
    at_other_layers = dropout.output(jnp.ones((40, 50, 8)), 1)
    for other in (at_other_layers, jnp.roll(z, 1, axis=0), jnp.roll(z, 1, axis=1)):
        assert float(jnp.mean((z == 0) == (other == 0))) == pytest.approx(0.58, abs=0.02), "drawn independently"


def test_outputs_are_dropped_on_their_way_up_and_not_in_time() -> None:
    model, batch = build(GRU, TASK, num_layers=2), batch_of(TASK)
    dropout = Dropout(KEYS[:BATCH], 0.4, jax.random.key(2), None)
    outputs, _ = model(batch.inputs, batch.mask, dropout=dropout)
    assert model.embedding is not None
    x = jnp.swapaxes(model.embedding(batch.inputs), 0, 1)
    for layer, cell in enumerate(model.layers):
        h = nnx.RNN(cell, time_major=True)(x)  # the recurrence sees all of h
        for example in range(BATCH):
            key = jax.random.fold_in(KEYS[example], layer)
            kept = jax.random.bernoulli(key, 0.6, (TASK.length, h.shape[-1]))
            h = h.at[:, example].set(jnp.where(kept, h[:, example] / 0.6, 0.0))
        x = h
    np.testing.assert_allclose(outputs, jnp.swapaxes(model.readout(x), 0, 1), rtol=1e-5, atol=1e-6)


def test_recurrent_weights_are_dropped_once_for_all_steps_and_examples() -> None:
    model, batch = build(GRU, TASK), batch_of(TASK)
    dropout = Dropout(KEYS[:BATCH], None, jax.random.key(2), 0.5)
    given = model.layers[0].recurrent_kernel[...]

    def loss(kernel: jax.Array, dropout: Dropout | None) -> jax.Array:
        changed = nnx.clone(model)
        changed.layers[0].recurrent_kernel[...] = kernel
        return jnp.sum(changed(batch.inputs, batch.mask, dropout=dropout)[0] ** 2)

    kept = jax.random.bernoulli(jax.random.fold_in(jax.random.key(2), 0), 0.5, given.shape)
    value, gradient = jax.value_and_grad(loss)(given, dropout)
    expected, of_kept = jax.value_and_grad(loss)(jnp.where(kept, 2 * given, 0.0), None)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    np.testing.assert_allclose(gradient, jnp.where(kept, 2 * of_kept, 0.0), rtol=1e-4, atol=1e-6)
    np.testing.assert_array_equal(model.layers[0].recurrent_kernel[...], given)


def metrics(output: Path, *configs: Config) -> np.ndarray:
    rnnbench.train(configs)
    return rnnbench.load_metrics(output)["value"].to_numpy()


@pytest.mark.parametrize("key", ["model.dropout", "model.recurrent_dropout"])
def test_a_folded_rate_trains_as_it_would_alone(compose: Compose, tmp_path: Path, key: str) -> None:
    """A rate of 0 is the run without dropout, also beside others."""
    both = [compose(f"{key}={rate}", f"output={tmp_path / 'both'}") for rate in (0.0, 0.4)]
    together = metrics(tmp_path / "both", *both)
    metrics(tmp_path / "alone", compose(f"output={tmp_path / 'alone'}"))
    alone = metrics(tmp_path / "alone", compose(f"{key}=0.4", f"output={tmp_path / 'alone'}"))
    np.testing.assert_allclose(together, alone, rtol=1e-3, atol=1e-6)
    assert rnnbench.load_runs(tmp_path / "both")["final.loss"].nunique() == 2


@pytest.mark.parametrize("key", ["model.dropout", "model.recurrent_dropout"])
def test_evaluation_drops_nothing(compose: Compose, tmp_path: Path, key: str) -> None:
    still = ("optimizer.learning_rate=0", f"output={tmp_path}")
    rnnbench.train([compose(*still, f"{key}=0.9")])
    rnnbench.train([compose(*still)])
    assert rnnbench.load_runs(tmp_path)["final.loss"].nunique() == 1
    losses = rnnbench.load_metrics(tmp_path).query("split == 'train' and metric == 'loss'")
    assert losses.groupby("run_id")["value"].first().nunique() == 2


def test_what_is_dropped_does_not_depend_on_the_number_of_devices(compose: Compose) -> None:
    config = compose("model.dropout=0.3", "model.recurrent_dropout=0.3", "model.num_layers=2")
    found = []
    for count in (1, 4):
        shared = program([config], jax.local_devices()[:count])
        _, scalars = shared.segment(shared.place([shared.init(config)]))
        found.append(np.asarray(scalars["loss"][0]))
    np.testing.assert_allclose(found[0], found[1], rtol=1e-4)


def test_a_longer_training_continues_with_the_same_draws(compose: Compose, tmp_path: Path) -> None:
    both = ("model.dropout=0.3", "model.recurrent_dropout=0.3")
    for steps in (4, 8):
        rnnbench.train([compose(*both, f"train.steps={steps}", f"output={tmp_path / 'twice'}")])
    rnnbench.train([compose(*both, "train.steps=8", f"output={tmp_path / 'once'}")])
    twice, once = (rnnbench.load_metrics(tmp_path / name) for name in ("twice", "once"))
    assert twice.equals(once)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["model=indrnn", "model.recurrent_dropout=0.1"],
            r"model\.recurrent_dropout: expected 0 for a cell without a re",
        ),
        (["model.dropout=1"], r"model\.dropout: expected less than 1, got 1"),
        (["model.dropout=-0.1"], r"model\.dropout: expected 0 or more, got -0\.1"),
    ],
)
def test_what_cannot_be_dropped_is_refused(
    compose: Compose, tmp_path: Path, overrides: list[str], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        rnnbench.train([compose(*overrides, f"output={tmp_path}")])
