"""Whatever makes a gradient transformation of optax serves as the optimizer, and nothing else does."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import optax
import pytest

from rnnbench.config.identity import foldable
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.training.optimizer import make_optimizer
from tests.helpers import optax_promotion

ADAM = {"_target_": "optax.adam", "learning_rate": 0.1}
SIZES = {"_target_": "optax.adafactor", "learning_rate": 0.1, "min_dim_size_to_factor": 2}

Compose = Callable[..., Config]


def with_optimizer(compose: Compose, node: dict[str, Any]) -> Config:
    config = compose()
    config.optimizer = node
    return config


@pytest.mark.parametrize(
    ("node", "folds"),
    [
        (SIZES, {"optimizer.learning_rate"}),
        ({"_target_": "optax.chain", "_args_": [ADAM]}, set()),
    ],
)
def test_an_optimizer_updates_and_folds_what_can_be_traced(
    compose: Compose, node: dict[str, Any], folds: set[str]
) -> None:
    config = with_optimizer(compose, node)
    assert {key for key in foldable(config) if key.startswith("optimizer.")} == folds
    params = {"kernel": jnp.ones((3, 4))}
    with optax_promotion():
        optimizer = make_optimizer(config, dict.fromkeys(folds, jnp.float32(0.5)))
        updates, _ = optimizer.update(params, optimizer.init(params), params)
    assert jnp.all(updates["kernel"] < 0)
    rates = optax.tree.get_all_with_path(optimizer.init(params), "learning_rate")
    assert [float(rate) for _, rate in rates] == [0.5] * len(folds)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": "builtins.int"}, "expected what makes an optax.GradientTransformation, such as optax.adam, got"),
        ({"_target_": "optax.constant_schedule", "value": 1.0}, "got optax.constant_schedule, which makes a function"),
    ],
)
def test_what_makes_no_optimizer_is_refused(compose: Compose, node: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError) as raised:
        make_optimizer(with_optimizer(compose, node), {})
    assert message in str(raised.value)
