"""Turns what Hydra composed into a checked `Config`."""

import copy
import dataclasses
import functools
import math
import re
import typing
from collections.abc import Mapping
from typing import Any

from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnbench.config.annotations import as_yaml, fits, in_words, is_number
from rnnbench.config.identity import foldable, run_id
from rnnbench.config.messages import describe_config
from rnnbench.config.metadata import keys
from rnnbench.config.objects import checked, without_name
from rnnbench.config.schema import CELL_ARGUMENTS, OPTAX_LIMITS, Config, ModelConfig
from rnnbench.errors import UserError

NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"
"""What the names of tasks and models look like: safe as folder names, which no shell takes for an option."""

EMPTY_GROUPS = ("init", "schedule", "logger")
"""The groups of which one option is empty, and switches the group off: init=default, schedule=constant, logger=none."""

WHOLE_NUMBERS = 2**31
"""JAX counts in 32 bits, so integers lie between minus this and this, unless a key declares its own upper bound."""

SMALLEST, LARGEST = 2.0**-126, (2 - 2**-23) * 2.0**127
"""JAX computes in 32 bits: a number nearer to zero than the first becomes zero, and one beyond the second infinite."""


def parse(cfg: DictConfig) -> Config:
    """Returns the typed form of a composed configuration, checked down to the arguments of every `_target_`."""
    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        assert isinstance(values, dict)
        for group in EMPTY_GROUPS:
            values[group] = values.get(group) or None
        # Merging plain values into the schema refuses unknown keys that were added by `+key=value`.
        merged = OmegaConf.merge(_schema(), values)
        for key in keys(Config):  # OmegaConf does not check that the items of a list are no lists themselves
            items = OmegaConf.select(merged, key.path)
            if isinstance(items, ListConfig) and not fits(found := OmegaConf.to_container(items), key.hint):
                raise UserError(f"{key.path}: expected {in_words(key.hint)}, got {as_yaml(found)}")
        check_numbers(OmegaConf.to_container(merged), "")
        config = OmegaConf.to_object(merged)
    except OmegaConfBaseException as error:
        raise UserError(describe_config(error)) from error
    assert isinstance(config, Config)
    for path, node in (("task", config.task), ("model", {"name": config.model.name})):
        name = node.get("name")
        if not isinstance(name, str) or not re.fullmatch(NAME, name):
            raise UserError(
                f"{path}.name: expected letters, digits and any of '_.+-', the first a letter or digit, "
                f"since it names folders, got {as_yaml(name)}"
            )
    _check_limits(config)
    config.model.cell = checked(config.model.cell, "model.cell", given=CELL_ARGUMENTS)
    config.task |= checked(without_name(config.task), "task")
    config.optimizer |= checked(without_name(config.optimizer), "optimizer")
    for path in EMPTY_GROUPS:
        if (group := getattr(config, path)) is not None:
            group |= checked(without_name(group), path)
    return config


@functools.cache
def _schema() -> DictConfig:
    """Returns the schema. Building it takes longer than merging values into it."""
    return OmegaConf.structured(Config)


def parse_members(cfg: DictConfig) -> list[Config]:
    """Returns the configuration of every member in `population.members`, or of the job's only run if that is null."""
    table = OmegaConf.to_container(cfg.population).get("members")  # type: ignore[union-attr]
    if table is None:
        return [parse(cfg)]
    if not isinstance(table, dict) or not all(isinstance(values, list) for values in table.values()):
        raise UserError(f"population.members: expected a list of values for each key, got {as_yaml(table)}")
    if len({len(values) for values in table.values()}) != 1 or [] in table.values():
        sizes = ", ".join(f"{key}: {len(values)}" for key, values in table.items()) or "none"
        raise UserError(f"population.members: expected equally many values for each key, one or more, got {sizes}")
    members = [
        parse(cfg_of_member(cfg, dict(zip(table, values, strict=True)))) for values in zip(*table.values(), strict=True)
    ]
    allowed = foldable(members[0])
    if wrong := sorted(set(table) - allowed):
        raise UserError(
            f"population.members: {wrong[0]} cannot differ within a population; {', '.join(sorted(allowed))} can"
        )
    ids = [run_id(member) for member in members]
    if twice := next((i for i, own in enumerate(ids) if own in ids[:i]), None):
        values = ", ".join(f"{key}={as_yaml(own[twice])}" for key, own in table.items())
        raise UserError(f"population.members: expected different runs, got {values} twice")
    return members


def cfg_of_member(cfg: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """Returns a composed configuration with a member's values. Other keys may depend on these by interpolation."""
    cfg = copy.deepcopy(cfg)
    for key, value in values.items():
        OmegaConf.update(cfg, key, value)
    return cfg


def check_numbers(value: Any, path: str) -> None:
    """Checks that JAX can hold the numbers in a value: they are finite and fit into 32 bits.

    Raises:
        UserError: it cannot hold one; the message names the key.
    """
    if path == "population.members":
        return  # the configuration of each member has its values in their own places
    if isinstance(value, Mapping | list):
        for key, item in value.items() if isinstance(value, Mapping) else enumerate(value):
            check_numbers(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, float) and not math.isfinite(value):
        raise UserError(f"{path}: expected a finite number, got {as_yaml(value)}")
    elif isinstance(value, float) and value != 0 and not SMALLEST <= abs(value) <= LARGEST:
        raise UserError(
            f"{path}: expected 0, or a number between {SMALLEST:.2g} and {LARGEST:.2g} or its negative "
            f"(JAX computes in 32 bits), got {as_yaml(value)}"
        )
    elif isinstance(value, int) and abs(value) >= WHOLE_NUMBERS and path not in _bounded():
        raise UserError(f"{path}: expected less than {WHOLE_NUMBERS} (JAX counts in 32 bits), got {value}")


@functools.cache
def _bounded() -> set[str]:
    """Returns the keys that declare an upper bound of their own."""
    return {key.path for key in keys(Config) if key.declared.below is not None}


def _check_size(model: ModelConfig) -> None:
    """Checks that the size of a model is given once, and removes the default where a budget takes its place."""
    if model.parameters is None:
        if model.hidden_size is None:
            raise UserError("model.hidden_size: expected 1 or more, or null together with model.parameters, got null")
        return
    if model.hidden_size not in (None, ModelConfig.hidden_size):
        raise UserError(
            f"model.hidden_size: expected null, since model.parameters={model.parameters} determines it, "
            f"got {model.hidden_size}"
        )
    model.hidden_size = None


def _check_limits(config: Config) -> None:
    """Checks every key against its declared limits, then the limits that involve several keys."""
    for key in keys(Config):
        value = functools.reduce(getattr, key.path.split("."), config)
        if (limit := key.declared.broken_limit(value)) is not None:
            or_null = ", or null" if type(None) in typing.get_args(key.hint) else ""
            raise UserError(f"{key.path}: expected {limit}{or_null}, got {as_yaml(value)}")
    for name, limits in OPTAX_LIMITS.items():
        number = config.optimizer.get(name)
        if is_number(number) and (limit := limits.broken_limit(number)) is not None:
            raise UserError(f"optimizer.{name}: expected {limit}, got {as_yaml(number)}")
    _check_size(config.model)
    if not config.output:
        raise UserError("output: expected a folder for the results, got ''; the current one is .")
    given = {name for name, value in dataclasses.asdict(config.distributed).items() if value is not None}
    if given and len(given) < 3:
        missing = sorted({"coordinator", "processes", "process"} - given)
        raise UserError(f"distributed: expected all of coordinator, processes and process; {missing[0]} is missing")
    if given and config.distributed.process >= config.distributed.processes:  # type: ignore[operator]
        raise UserError(
            f"distributed.process: expected less than distributed.processes, {config.distributed.processes}, "
            f"got {config.distributed.process}"
        )
