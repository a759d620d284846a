"""Which keys identify a run, which are recorded, and which may differ between the runs of a population."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rnnbench.config.annotations import is_number
from rnnbench.config.metadata import keys, select
from rnnbench.config.objects import foldable_arguments, fractional_arguments
from rnnbench.config.schema import Config


def foldable(config: Config) -> set[str]:
    """Returns the dotted keys of the numbers that may differ between runs of one population, as declared in the code.

    `Config` declares its own keys; cells, initialisations, tasks and schedules annotate arguments as `FOLDABLE`. The
    numbers of an optimizer are foldable where the argument also takes a fraction, because `optax.inject_hyperparams`
    keeps them in its state.
    """
    numbers = {key for key, value in flatten(select(config, lambda key, _: key.identity)).items() if is_number(value)}
    own = {key.path for key in keys(Config) if key.declared.foldable} & numbers
    nodes = {"model.cell": config.model.cell, "init": config.init, "task": config.task, "schedule": config.schedule}
    for prefix, node in nodes.items():
        if node:
            own |= {f"{prefix}.{key}" for key in foldable_arguments(node, prefix)}
    rates = {f"optimizer.{key}" for key in fractional_arguments(config.optimizer, "optimizer")}
    return own | (rates & numbers)


def identity(config: Config) -> dict[str, Any]:
    """Returns the part of a configuration that determines the run's numbers (up to rounding), as nested values."""
    return select(config, lambda key, is_default: key.identity and not (key.added and is_default))


def described(config: Config) -> dict[str, Any]:
    """Returns the part of a configuration that the runs table and loggers state: the identity, and the run's length."""
    return select(config, lambda key, _: key.described)


def compiled(config: Config) -> dict[str, Any]:
    """Returns the part of a configuration that determines the compiled program, apart from what is folded."""
    return select(config, lambda key, _: key.compiled)


def recorded(config: Config) -> dict[str, Any]:
    """Returns the part of a configuration that is stored in a job's folder."""
    return select(config, lambda key, _: key.recorded)


def run_id(config: Config) -> str:
    """Returns the first 12 hexadecimal digits of the SHA-256 of the identity's canonical JSON."""
    text = json.dumps(identity(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns nested values by dotted key, `{"model.hidden_size": 64, ...}`. Lists are converted to JSON."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat
