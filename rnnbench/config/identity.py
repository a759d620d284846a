"""What makes a run the run it is, and in what the runs of a population may differ."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

from rnnbench.config.annotations import FOLDABLE
from rnnbench.config.objects import foldable_arguments, is_number
from rnnbench.config.schema import Config


def foldable(config: Config) -> set[str]:
    """Dotted keys of numbers in which runs of one population may differ: as they are declared in the code.

    `Config` and its sections declare theirs as metadata of the field, cells and tasks by annotating arguments as
    `FOLDABLE`; an optimizer's numbers all are, since `optax.inject_hyperparams` keeps them in its state.
    """
    keys = set()
    for prefix, section in (("", config), ("train.", config.train)):
        marked = (field.name for field in dataclasses.fields(section) if FOLDABLE in field.metadata)
        keys |= {prefix + name for name in marked if is_number(getattr(section, name))}
    for prefix, node in (("model.cell", config.model.cell), ("task", config.task)):
        keys |= {f"{prefix}.{key}" for key in foldable_arguments(node, prefix)}
    return keys | {f"optimizer.{key}" for key, value in config.optimizer.items() if is_number(value)}


def identity(config: Config) -> dict[str, Any]:
    """The part of a configuration that determines the run's numbers (but for rounding), as plain nested values."""
    values = dataclasses.asdict(config)
    del values["model"]["remat_every"]
    if values["train"]["matmul_precision"] is None:  # came later: runs from before keep their identity
        del values["train"]["matmul_precision"]
    if not values["train"]["stop_when_solved"]:
        del values["train"]["stop_when_solved"]
    if values["train"]["omega"] == 0:
        del values["train"]["omega"]
    del values["probe"]["at_end"]
    del values["train"]["checkpoint_seconds"]
    return {key: values[key] for key in ("model", "task", "optimizer", "train", "probe", "seed")}


def recorded(config: Config) -> dict[str, Any]:
    """The part of a configuration that a job records, as plain nested values."""
    resolved = dataclasses.asdict(config)
    for key in ("overwrite", "compilation_cache", "report", "distributed"):
        del resolved[key]
    del resolved["population"]["place"]
    return resolved


def run_id(config: Config) -> str:
    """First 12 hexadecimal digits of the SHA-256 of the identity's canonical JSON."""
    text = json.dumps(identity(config), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted key, `{"model.hidden_size": 64, ...}`; a list becomes its JSON."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list | tuple) else value
    return flat
