"""Schedules of the learning rate: their closed forms, what is recorded, and what they are applied to."""

from collections.abc import Callable
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

import rnnbench
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.training import schedules
from tests.helpers import optax_promotion

Compose = Callable[..., Config]
STEPS = 20


def factors(schedule: schedules.Schedule) -> np.ndarray:
    return np.array([schedule(jnp.int32(t)) for t in range(STEPS + 3)])


def test_without_warm_up_they_are_those_of_optax() -> None:
    for own, other in (
        (schedules.cosine(STEPS, end=0.1), optax.cosine_decay_schedule(1.0, STEPS, alpha=0.1)),
        (schedules.linear(STEPS, end=0.1), optax.linear_schedule(1.0, 0.1, STEPS)),
        (schedules.step(6, decay=0.3), optax.exponential_decay(1.0, 6, 0.3, staircase=True)),
    ):
        with optax_promotion():
            expected = factors(other)
        np.testing.assert_allclose(factors(own), expected, rtol=1e-5, atol=1e-7)


def test_the_warm_up_is_a_line_from_the_first_step_to_the_full_rate() -> None:
    """The first step has a quarter of the rate, not nothing: with a rate of 0 it would be lost."""
    np.testing.assert_allclose(factors(schedules.linear(STEPS, warmup=3.0, end=1.0))[:6], [0.25, 0.5, 0.75, 1, 1, 1])
    cosine = factors(schedules.cosine(11, warmup=3.0))
    np.testing.assert_allclose(cosine[3:12], (1 + np.cos(np.pi * np.arange(9) / 8)) / 2, atol=1e-6)
    np.testing.assert_array_equal(cosine[11:], 0)


def metrics(*configs: Config) -> pd.DataFrame:
    rnnbench.train(configs)
    return rnnbench.load_metrics(configs[0].output)


SGD = ("optimizer=sgd", "optimizer.momentum=0.5", "train.log_every=1", "train.steps=8")


def test_it_is_the_optimizers_own_schedule_and_is_recorded_as_applied(compose: Compose, tmp_path: Path) -> None:
    node = "{_target_: optax.cosine_decay_schedule, init_value: 0.2, decay_steps: 8}"
    expected = metrics(compose(*SGD, f"optimizer.learning_rate={node}", f"output={tmp_path / 'optax'}"))
    found = metrics(compose(*SGD, "optimizer.learning_rate=0.2", "schedule=cosine", f"output={tmp_path / 'own'}"))
    np.testing.assert_allclose(found["value"], expected["value"], rtol=1e-5)
    rates = found[found["metric"] == "learning_rate"]["value"]
    np.testing.assert_allclose(rates, 0.1 * (1 + np.cos(np.pi * np.arange(8) / 8)), rtol=1e-5)


def test_its_numbers_fold(compose: Compose, tmp_path: Path) -> None:
    """Runs that differ in warm-up and learning rate train as one program, each as it would alone."""
    numbers = [(warmup, rate) for warmup in (0, 3) for rate in (0.1, 0.2)]

    def configs(output: str) -> list[Config]:
        return [
            compose(*SGD, "schedule=linear", f"schedule.warmup={warmup}", f"optimizer.learning_rate={rate}", output)
            for warmup, rate in numbers
        ]

    together = metrics(*configs(f"output={tmp_path / 'together'}"))
    assert len(list((tmp_path / "together").glob("adding-*"))) == 1
    for config in configs(f"output={tmp_path / 'alone'}"):
        metrics(config)
    alone = rnnbench.load_metrics(tmp_path / "alone")
    assert together["run_id"].nunique() == 4
    np.testing.assert_allclose(together["value"], alone["value"], rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["schedule=cosine", "schedule.warmup=8"], r"schedule\.warmup: expected 0 or more and less than the 8 steps, "),
        (["schedule=linear", "schedule.end=-1"], r"schedule\.end: expected 0 or more, got -1"),
        (["schedule=step", "schedule.every=0"], r"schedule\.every: expected 1 or more, got 0"),
        (["schedule=step", "schedule.decay=-2"], r"schedule\.decay: expected 0 or more, got -2"),
        (
            ["schedule=step", "optimizer.learning_rate={_target_: optax.constant_schedule, value: 0.1}"],
            "schedule: expected an optimizer with a number as its learning_rate, got {_target_: 'optax.constant_sch",
        ),
    ],
)
def test_what_cannot_be_is_refused(compose: Compose, tmp_path: Path, overrides: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        rnnbench.train(compose(*overrides, f"output={tmp_path}"))


def test_a_constant_rate_has_the_identity_of_before(compose: Compose) -> None:
    assert compose().schedule is None
    assert compose("schedule=constant").schedule is None
