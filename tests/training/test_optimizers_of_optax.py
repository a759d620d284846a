"""Every gradient transformation that optax has either trains or is refused by a message."""

import contextlib
import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import lax

from rnnbench.config.identity import foldable
from rnnbench.config.objects import checked
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.training.optimizer import make_optimizer
from rnnbench.training.program import program

Compose = Callable[..., Config]

SGD = {"_target_": "optax.sgd", "learning_rate": 0.1}
SCHEDULE = {"_target_": "optax.constant_schedule", "value": 0.1}

GIVEN: dict[str, Any] = {
    **dict.fromkeys(("inner", "base_optimizer", "fast_optimizer", "optimizer", "adv_optimizer", "tx"), SGD),
    **dict.fromkeys(("learning_rate", "step_size", "decay", "eta", "gamma", "slow_step_size", "max_norm"), 0.1),
    **dict.fromkeys(("clipping", "max_delta", "threshold", "l2_norm_clip", "noise_multiplier"), 0.1),
    **dict.fromkeys(("sync_period", "max_consecutive_errors", "max_linesearch_steps", "max_backtracking_steps"), 2),
    **dict.fromkeys(("mask", "freeze_mask"), True),
    "f": f"{__name__}.unchanged",
    "measure": "optax.tree.norm",
    "should_transform_fn": f"{__name__}.is_first",
    "step_size_fn": SCHEDULE,
    "seed": 0,
    "measure_name": "size",
    "measures": {"size": "optax.tree.norm"},
    "transforms": {"all": SGD},
    "param_labels": "all",
}
"""Arguments that a transformation needs, by name."""

REFUSED = {
    "optax.chain": "optimizer: ",  # of nothing
    "optax.measure_with_ema": "optimizer: expected an update with an array for each parameter",
    "optax.lookahead": "expected an optimizer whose numbers may be traced: slow_step_size, sync_period",
    "optax.contrib.differentially_private_aggregate": "optimizer: Unlike other transforms, ",
    "optax.contrib.dpsgd": "optimizer: Unlike other transforms, ",
    "optax.contrib.hutchinson_estimator_diag_hessian": "optimizer: obj_fn must be provided",
    "optax.contrib.scale_by_muon": "optimizer: pytree structure error: ",  # needs to know which weights are matrices
    "optax.contrib.sophia": "optimizer: obj_fn must be provided",
}
"""What cannot train, and the message about it."""


def unchanged(updates: jax.Array, params: jax.Array) -> jax.Array:
    return updates


def is_first(step: jax.Array) -> jax.Array:
    return step == 0


def transformations() -> Iterator[str]:
    for module in (optax, optax.contrib):
        for name in sorted(dir(module)):
            made = getattr(module, name)
            if name.startswith("_") or not inspect.isfunction(made):
                continue
            returned = str(inspect.signature(made).return_annotation)
            if "GradientTransformation" in returned and "Callable" not in returned:
                yield f"{module.__name__}.{name}"


def node_of(target: str) -> dict[str, Any]:
    module = optax.contrib if "contrib" in target else optax
    parameters = inspect.signature(getattr(module, target.rpartition(".")[2])).parameters.values()
    named = [each for each in parameters if each.kind in (each.POSITIONAL_OR_KEYWORD, each.KEYWORD_ONLY)]
    return {"_target_": target} | {each.name: GIVEN[each.name] for each in named if each.default is each.empty}


def losses(config: Config) -> list[float]:
    """Returns the losses of two steps of a small fit, under this library's strict rules of promotion."""
    optimizer = make_optimizer(config, {})
    params = {"kernel": jnp.arange(1.0, 7.0).reshape(2, 3), "bias": jnp.ones(3)}

    def loss(params: dict[str, jax.Array]) -> jax.Array:
        return jnp.mean(jnp.square(params["kernel"])) + jnp.mean(jnp.square(params["bias"]))

    def step(carry: Any, _: None) -> Any:
        params, state = carry
        value, gradient = jax.value_and_grad(loss)(params)
        updates, state = optimizer.update(gradient, state, params, value=value, grad=gradient, value_fn=loss)
        params = optax.apply_updates(params, updates)
        return (params, state), loss(params)

    return jax.jit(lambda: lax.scan(step, (params, optimizer.init(params)), None, length=2)[1])().tolist()


@pytest.mark.filterwarnings("ignore:Specifying a key will be required", "ignore::DeprecationWarning")
@pytest.mark.parametrize("target", [*transformations(), "optax.contrib.hutchinson_estimator_diag_hessian"])
def test_it_trains_or_is_refused(compose: Compose, target: str) -> None:
    message = REFUSED.get(target)
    refused = contextlib.nullcontext() if message is None else pytest.raises(UserError, match=message)
    with refused as raised:
        config = dataclasses.replace(compose(), optimizer=checked(node_of(target), "optimizer"))
        assert np.isfinite(losses(config)).all()
    assert raised is None or "\n" not in str(raised.value)


def test_there_are_many() -> None:
    assert len([*transformations()]) > 80


def fitted(config: Config, devices: int) -> tuple[list[float], Any]:
    shared = program([config], jax.devices()[:devices])
    states, scalars = shared.segment(shared.place([shared.init(config)]))
    return np.asarray(scalars["loss"][0]).tolist(), states.params


def test_a_line_search_evaluates_the_whole_batch_wherever_it_is(compose: Compose) -> None:
    search = {"_target_": "optax.scale_by_backtracking_linesearch", "max_backtracking_steps": 3}
    lbfgs = {"_target_": "optax.lbfgs", "memory_size": 1, "linesearch": search}
    settings = ("train.steps=3", "train.eval_every=3", "train.clip_norm=null", "model=rnn", "train.omega=0.5")
    config = dataclasses.replace(compose(*settings), optimizer=lbfgs)
    losses_of_one, params_of_one = fitted(config, 1)
    losses_of_two, params_of_two = fitted(config, 2)
    np.testing.assert_allclose(losses_of_two, losses_of_one, rtol=1e-4)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4), params_of_two, params_of_one)


def branching(learning_rate: float) -> optax.GradientTransformation:
    def update(updates: Any, state: Any, params: Any = None) -> Any:
        return (updates if learning_rate > 1 else jax.tree.map(jnp.negative, updates)), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def growing() -> optax.GradientTransformation:
    def update(updates: Any, state: Any, params: Any = None) -> Any:
        return updates, (state, jnp.ones(3))

    return optax.GradientTransformation(lambda params: jnp.ones(3), update)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        ({"_target_": f"{__name__}.branching", "learning_rate": 0.1}, "whose numbers may be traced: learning_rate"),
        ({"_target_": f"{__name__}.growing"}, "an update that keeps the shapes and types of the optimizer's state"),
    ],
)
def test_what_cannot_be_traced_is_refused(compose: Compose, node: dict[str, Any], message: str) -> None:
    config = dataclasses.replace(compose(), optimizer=node)
    with pytest.raises(UserError, match=message):
        losses(config)


def test_numbers_inside_another_optimizer_do_not_fold(compose: Compose) -> None:
    node = {"_target_": "optax.apply_if_finite", "inner": SGD, "max_consecutive_errors": 2}
    config = dataclasses.replace(compose(), optimizer=node)
    assert not {key for key in foldable(config) if key.startswith("optimizer.")}
