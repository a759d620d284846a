"""A run's optimizer, whose numbers are part of its state."""

import contextlib
import functools
import inspect
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, PyTree

from rnnbench.config.annotations import as_yaml, is_number
from rnnbench.config.objects import blame, fractional_arguments, partial
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.training.schedules import Schedule
from rnnbench.training.step import Numbers


def make_optimizer(config: Config, numbers: Numbers) -> optax.GradientTransformationExtraArgs:
    """Returns clipping, followed by the configured optimizer. Their numbers are part of the state.

    Its `init` and `update` raise a `UserError` if the optimizer cannot be used here.

    Args:
        config: the run's configuration.
        numbers: by key, numbers that replace those of the configuration.

    Raises:
        UserError: the configuration names no optimizer, or one that cannot be built.
    """
    factory = partial(config.optimizer, "optimizer")
    with blame("optimizer"):
        optimizer = factory()
    if not isinstance(optimizer, optax.GradientTransformation):
        name = config.optimizer["_target_"]
        raise UserError(
            f"optimizer._target_: expected what makes an optax.GradientTransformation, such as optax.adam, got {name}, "
            f"which makes a {type(optimizer).__name__}"
        )
    optimizer = _extended(optimizer)
    # What is set to a number or a schedule is part of the state. All else stays out: sizes cannot be traced.
    if injected := fractional_arguments(config.optimizer, "optimizer"):
        build = functools.wraps(factory.func)(lambda *args, **keywords: _extended(factory.func(*args, **keywords)))
        static = set(inspect.signature(factory.func).parameters) - injected
        keywords = factory.keywords | numbers_of(numbers, "optimizer")
        if (factor := make_schedule(config, numbers)) is not None:
            rate = keywords["learning_rate"]
            keywords["learning_rate"] = lambda count: rate * factor(count)
        optimizer = optax.inject_hyperparams(build, static_args=static)(*factory.args, **keywords)
    if (clipping := make_clipping(config, numbers)) is not None:
        optimizer = optax.chain(clipping, optimizer)
    return _checked(optimizer, injected)


class Clipped(NamedTuple):
    """The state of clipping.

    Attributes:
        limits: the limits. As part of the state they are values at run time whether they are folded or not, so that
            both round alike.
        clipped: whether the last update changed the gradient.
    """

    limits: PyTree
    clipped: Bool[Array, ""]


def make_clipping(config: Config, numbers: Numbers) -> optax.GradientTransformation | None:
    """Returns what clips the gradient, in this order, or None if nothing does.

        g <- min(max(g, -clip_value), clip_value)       each entry
        g <- g min(1, clip_norm / |g|)                  |g| is the norm of all parameters' gradient
        g <- g min(1, clip_ratio |w| / |g|)             for the weights w into each unit, |w| at least 1e-3

    The last is adaptive clipping (Brock et al. 2021); a vector, such as a bias, counts as one unit.

    Args:
        config: the run's configuration.
        numbers: by key, numbers that replace those of the configuration.
    """
    limits = {
        "train.clip_value": (config.train.clip_value, optax.clip),
        "train.clip_norm": (config.train.clip_norm, optax.clip_by_global_norm),
        "train.clip_ratio": (config.train.clip_ratio, optax.adaptive_grad_clip),
    }
    clips = [
        optax.inject_hyperparams(clip)(numbers.get(key, float(limit)))
        for key, (limit, clip) in limits.items()
        if limit is not None
    ]
    if not clips:
        return None
    clip = optax.chain(*clips)

    def init(params: PyTree) -> Clipped:
        return Clipped(clip.init(params), jnp.array(False))

    def update(updates: PyTree, state: Clipped, params: PyTree | None = None) -> tuple[PyTree, Clipped]:
        clipped, limits = clip.update(updates, state.limits, params)
        return clipped, Clipped(limits, _differ(updates, clipped))

    return optax.GradientTransformation(init, update)


def make_schedule(config: Config, numbers: Numbers) -> Schedule | None:
    """Returns the factor of the learning rate as a function of the steps already taken, or None if there is none.

    Args:
        config: the run's configuration.
        numbers: by key, numbers that replace those of the configuration.

    Raises:
        UserError: the schedule cannot be built, or the optimizer has no number `learning_rate`.
    """
    if config.schedule is None:
        return None
    rate = config.optimizer.get("learning_rate")
    if not is_number(rate):
        raise UserError(
            f"schedule: expected an optimizer with a number as its learning_rate, got {as_yaml(rate)} for "
            f"{config.optimizer['_target_']}; schedule=constant leaves it as it is"
        )
    with blame("schedule"):
        return partial(config.schedule, "schedule")(**numbers_of(numbers, "schedule"))


def _extended(optimizer: optax.GradientTransformation) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer with an update that ignores the extra arguments that it does not know.

    Some optimizers claim to take extra arguments without doing so, such as `optax.contrib.sam`.
    """
    parameters = inspect.signature(optimizer.update).parameters.values()
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        optimizer = optax.GradientTransformation(optimizer.init, optimizer.update)
    return optax.with_extra_args_support(optimizer)


def _checked(
    optimizer: optax.GradientTransformationExtraArgs, injected: set[str]
) -> optax.GradientTransformationExtraArgs:
    """Returns the optimizer with errors that name it, and with the promotion that optax relies on."""

    @contextlib.contextmanager
    def checks() -> Iterator[None]:
        try:
            with blame("optimizer"), jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
                yield
        except UserError as error:
            if isinstance(error.__cause__, jax.errors.ConcretizationTypeError):
                numbers = ", ".join(sorted(injected))
                raise UserError(f"{error}: expected an optimizer whose numbers may be traced: {numbers}") from error
            raise

    def init(params: PyTree) -> PyTree:
        with checks():
            return optimizer.init(params)

    def update(updates: PyTree, state: PyTree, params: PyTree, **more: Any) -> tuple[PyTree, PyTree]:
        with checks():
            updates, new = optimizer.update(updates, state, params, **more)
        if _shapes(updates)[0] != _shapes(params)[0]:
            raise UserError("optimizer: expected an update with an array for each parameter")
        if _shapes(new) != _shapes(state):
            raise UserError("optimizer: expected an update that keeps the shapes and types of the optimizer's state")
        return updates, new

    return optax.GradientTransformationExtraArgs(init, update)


def _differ(one: PyTree, other: PyTree) -> Bool[Array, ""]:
    """Returns whether any entry of two trees of arrays differs."""
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return jnp.any(jnp.stack([jnp.any(a != b) for a, b in pairs]))


def _shapes(tree: PyTree) -> Any:
    leaves, structure = jax.tree.flatten(tree)
    return structure, [(jnp.shape(leaf), jnp.result_type(leaf)) for leaf in leaves]


def numbers_of(numbers: Numbers, node: str) -> Numbers:
    """Returns the numbers that are arguments of a node, by argument."""
    return {key.rpartition(".")[2]: number for key, number in numbers.items() if key.rpartition(".")[0] == node}
