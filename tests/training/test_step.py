"""Compares the training step and the segment with the same mathematics written by hand."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from rnnbench.config.schema import Config
from rnnbench.probes.omega import omega
from rnnbench.training.program import program

Compose = Callable[..., Config]


def by_hand(config: Config, steps: int) -> tuple[list[dict[str, float]], dict]:
    """Returns the losses, gradient norms and parameters of a run, computed with optax and without a scan."""
    shared = program([config], jax.local_devices()[:1])
    task, state = shared.tasks[0], shared.init(config)
    optimizer = optax.chain(
        optax.clip_by_global_norm(config.train.clip_norm), optax.adam(config.optimizer["learning_rate"])
    )
    params, opt_state = state.params, None
    opt_state = optimizer.init(params)
    rows = []
    for step in range(steps):
        keys = jax.random.split(jax.random.fold_in(state.key, step), config.train.batch_size)
        batch = jax.tree.map(lambda *leaves: jnp.stack(leaves), *[task.example(key) for key in keys])

        def loss(params: dict, batch: object = batch) -> jax.Array:
            outputs, _ = shared.builder.model(params, {})(batch.inputs, batch.mask)
            examples = [jax.tree.map(lambda leaf, i=i: leaf[i], batch) for i in range(len(outputs))]
            return jnp.mean(jnp.stack([task.loss(*pair) for pair in zip(outputs, examples, strict=True)]))

        def penalty(params: dict, batch: object = batch) -> jax.Array:
            return omega(shared.builder.model(params, {}), task, batch)

        value, gradient = jax.value_and_grad(loss)(params)
        extra, more = jax.value_and_grad(penalty)(params)
        gradient = jax.tree.map(lambda own, other: own + config.train.omega * other, gradient, more)
        rows.append({"loss": float(value), "omega": float(extra), "grad_norm": float(optax.tree.norm(gradient))})
        updates, opt_state = optimizer.update(gradient, opt_state, params)
        params = optax.apply_updates(params, updates)
    return rows, params


@pytest.mark.parametrize("weight", [0.0, 0.7])
def test_a_segment_is_optax_step_by_step(compose: Compose, weight: float) -> None:
    config = compose("train.clip_norm=3.6", "train.steps=6", "train.eval_every=6", f"train.omega={weight}")
    expected, params = by_hand(config, 6)
    shared = program([config])
    states, scalars = shared.segment(shared.place([shared.init(config)]))
    np.testing.assert_allclose(scalars["loss"][0], [row["loss"] for row in expected], rtol=2e-5)
    assert ("omega" in scalars) == (weight > 0), "it costs nothing where it is off"
    if weight > 0:
        np.testing.assert_allclose(scalars["omega"][0], [row["omega"] for row in expected], rtol=1e-4)
    norms = np.array([row["grad_norm"] for row in expected])
    np.testing.assert_allclose(scalars["grad_norm"][0], norms, rtol=2e-5)
    np.testing.assert_array_equal(scalars["clipped"][0], norms > 3.6)
    assert 0 < (norms > 3.6).sum() < 6, "the check above needs clipped steps and others"
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a[0], b, rtol=1e-4, atol=1e-6), states.params, params)


def test_group_norms_add_up_to_the_global_norm(compose: Compose) -> None:
    config = compose()
    shared = program([config])
    _, scalars = shared.segment(shared.place([shared.init(config)]))
    groups = {name: value for name, value in scalars.items() if name.startswith("grad_norm.")}
    expected = {"layers.0.kernel", "layers.0.recurrent_kernel", "layers.0.bias", "readout.kernel", "readout.bias"}
    assert set(groups) == {f"grad_norm.{name}" for name in expected}
    np.testing.assert_allclose(sum(value**2 for value in groups.values()) ** 0.5, scalars["grad_norm"], rtol=1e-5)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "rmsprop", "sgd"])
def test_optimizers_are_optax_own_and_their_numbers_are_state(compose: Compose, optimizer: str) -> None:
    config = compose(f"optimizer={optimizer}", "optimizer.learning_rate=0.25")
    shared = program([config])
    state = shared.init(config)
    hyperparams = optax.tree.get(state.opt_state, "learning_rate")
    assert float(hyperparams) == 0.25
    states, scalars = shared.segment(shared.place([state]))
    assert np.all(scalars["learning_rate"] == 0.25)
    assert int(states.step[0]) == 4


def test_a_run_that_diverges_stands_still(compose: Compose) -> None:
    config = compose("optimizer=sgd", "optimizer.learning_rate=1e30", "train.clip_norm=null")
    shared = program([config])
    states, scalars = shared.segment(shared.place([shared.init(config)]))
    at = int(states.diverged_at[0])
    assert 1 < at <= 4
    assert int(states.step[0]) == at - 1, "the step that was not finite is not taken"
    assert not np.isfinite(scalars["loss"][0, at - 1]) or not np.isfinite(scalars["grad_norm"][0, at - 1])
    assert np.isnan(scalars["clipped"][0, at:]).all(), "nothing is reported after it"
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(states.params))


def test_an_update_that_is_not_finite_is_not_taken(compose: Compose) -> None:
    """The loss and gradient of the only step are finite; only the update shows that the run has diverged."""
    config = compose("optimizer=sgd", "optimizer.learning_rate=3e38", "train.clip_norm=null", "train.steps=1")
    shared = program([config])
    first = shared.init(config)
    states, scalars = shared.segment(shared.place([first]))
    assert np.isfinite(scalars["loss"][0, 0])
    assert np.isfinite(scalars["grad_norm"][0, 0])
    assert (int(states.diverged_at[0]), int(states.step[0])) == (1, 0)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a[0], b), states.params, first.params)


def test_the_learning_rate_of_a_step_is_the_one_of_its_update(compose: Compose) -> None:
    """With plain gradient descent, the parameters move by the recorded learning rate times the recorded gradient."""
    schedule = "{_target_: optax.linear_schedule, init_value: 0.0, end_value: 0.6, transition_steps: 6}"
    config = compose(
        *("optimizer=sgd", "optimizer.momentum=null", f"optimizer.learning_rate={schedule}", "train.clip_norm=null"),
        *("train.steps=6", "train.eval_every=1", "train.batch_size=4"),
    )
    shared = program([config])
    states = shared.place([shared.init(config)])
    rates = []
    for _ in range(6):
        before = jax.tree.map(np.array, states.params)  # copies, because the segment consumes its states
        states, scalars = shared.segment(states)
        rates.append(float(scalars["learning_rate"][0, 0]))
        change = optax.tree.norm(jax.tree.map(lambda new, old: new - old, states.params, before))
        np.testing.assert_allclose(change, rates[-1] * scalars["grad_norm"][0, 0], rtol=1e-3)
    np.testing.assert_allclose(rates, [0.0, 0.1, 0.2, 0.3, 0.4, 0.5], atol=1e-6)


def test_steps_beyond_the_end_are_not_taken(compose: Compose) -> None:
    config = compose("train.steps=6", "train.eval_every=4")
    shared = program([config])
    states = shared.place([shared.init(config)])
    for expected in (4, 6):
        states, scalars = shared.segment(states)
        assert int(states.step[0]) == expected
    np.testing.assert_array_equal(np.isnan(scalars["loss"][0]), [False, False, True, True])
