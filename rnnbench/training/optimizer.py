"""A run's optimizer, whose numbers are part of its state."""

import inspect

import optax

from rnnbench.config.objects import blame, fractional_arguments, partial
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.training.step import Numbers


def make_optimizer(config: Config, numbers: Numbers) -> optax.GradientTransformation:
    """Returns clipping by global norm, followed by the configured optimizer. Their numbers are part of the state.

    Args:
        config: the run's configuration.
        numbers: by key, numbers that replace those of the configuration when the state is initialised.

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
    # What is set to a number or a schedule is part of the state. All else stays out: sizes cannot be traced.
    if injected := fractional_arguments(config.optimizer, "optimizer"):
        static = set(inspect.signature(factory.func).parameters) - injected
        keywords = factory.keywords | numbers_of(numbers, "optimizer")
        optimizer = optax.inject_hyperparams(factory.func, static_args=static)(*factory.args, **keywords)
    if config.train.clip_norm is None:
        return optimizer
    max_norm = numbers.get("train.clip_norm", float(config.train.clip_norm))
    return optax.chain(optax.inject_hyperparams(optax.clip_by_global_norm)(max_norm=max_norm), optimizer)


def numbers_of(numbers: Numbers, node: str) -> Numbers:
    """Returns the numbers that are arguments of a node, by argument."""
    return {key.rpartition(".")[2]: number for key, number in numbers.items() if key.rpartition(".")[0] == node}
