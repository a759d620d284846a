"""A run's configuration: its schema, its check and its identity."""

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnbench.annotations import as_yaml, in_words
from rnnbench.errors import UserError
from rnnbench.mistakes import describe_config
from rnnbench.targets import check_call, without_name
from rnnbench.targets import instantiate as instantiate
from rnnbench.targets import partial as partial


@dataclasses.dataclass
class ModelConfig:
    """Embedding (for tokens), a stack of recurrent layers of one cell, and a linear readout."""

    name: str = MISSING
    cell: dict[str, Any] = MISSING
    hidden_size: int = 64
    num_layers: int = 1
    embedding_size: int = 32
    remat_every: int | None = None


@dataclasses.dataclass
class TrainConfig:
    """Length of training and of its intervals, in steps; `clip_norm` None: gradients are not clipped.

    `matmul_precision` is that of the training steps alone, a key of `MATMUL_PRECISIONS`; None: JAX's choice.
    """

    steps: int = 2000
    batch_size: int = 64
    eval_every: int = 100
    log_every: int = 10
    clip_norm: float | None = 1.0
    matmul_precision: str | None = None
    test_size: int = 1024
    checkpoint_seconds: float = 60.0


@dataclasses.dataclass
class ProbeConfig:
    """What is measured on a fixed batch of `size` examples at every evaluation."""

    gradient_flow: bool = True
    size: int = 64


@dataclasses.dataclass
class Config:
    """Everything about a run. `task`, `optimizer` and `logger` are keyword arguments of their `_target_`.

    Attributes:
        devices: number of CPU devices; None: one per core.
        compilation_cache: whether compiled programs are kept in the user's cache folder.
        experiment: tables that a study looks its settings up in. What comes out of them is in the
            settings themselves, so they are no part of a run's identity.
    """

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    task: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    probe: ProbeConfig = dataclasses.field(default_factory=ProbeConfig)
    logger: dict[str, Any] | None = None
    seed: int = 0
    output: str = "results"
    overwrite: bool = False
    devices: int | None = None
    compilation_cache: bool = True
    experiment: dict[str, Any] = dataclasses.field(default_factory=dict)


CELL_ARGUMENTS = ("in_features", "hidden_features", "rngs")
"""What a cell is called with besides its own keys, as those of `flax.nnx` are."""


MATMUL_PRECISIONS = {"bfloat16": "BF16_BF16_F32", "tensorfloat32": "TF32_TF32_F32", "float32": "F32_F32_F32"}
"""Types that matmuls multiply in, and what JAX calls it; they add up in float32, and all states and weights are."""


LEAST = {
    "model.hidden_size": 1,
    "model.num_layers": 1,
    "model.embedding_size": 1,
    "model.remat_every": 1,
    "train.steps": 1,
    "train.batch_size": 1,
    "train.eval_every": 1,
    "train.log_every": 1,
    "train.test_size": 1,
    "train.checkpoint_seconds": 0,
    "probe.size": 1,
    "seed": 0,
    "devices": 1,
}
"""Smallest value allowed for a key."""


def parse(cfg: DictConfig) -> Config:
    """Typed configuration of a composed one, checked down to the arguments of every `_target_`."""
    try:
        values = OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True)
        assert isinstance(values, dict)
        # An empty group is chosen to switch something off.
        values["logger"] = values.get("logger") or None
        _check_sections(values, Config)
        # Merging plain values into the schema is what refuses keys that were slipped in by `+key=value`.
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), values))
    except OmegaConfBaseException as error:
        raise UserError(describe_config(error)) from error
    assert isinstance(config, Config)
    for path, node in (("task", config.task), ("model", {"name": config.model.name})):
        name = node.get("name")
        if not isinstance(name, str) or not name:
            raise UserError(f"{path}.name: expected a name for records and figures, got {as_yaml(name)}")
    _check_ranges(config)
    check_call(config.model.cell, "model.cell", given=CELL_ARGUMENTS)
    check_call(without_name(config.task), "task")
    check_call(without_name(config.optimizer), "optimizer")
    if config.logger is not None:
        check_call(without_name(config.logger), "logger")
    return config


def _check_sections(values: Mapping[Any, Any], schema: Any, prefix: str = "") -> None:
    """Checks that what has keys of its own in the schema has them in the values."""
    hints = typing.get_type_hints(schema)
    for key, hint in hints.items():
        value = values.get(key, {})
        if dataclasses.is_dataclass(hint):
            if not isinstance(value, Mapping):
                raise UserError(f"{prefix}{key}: expected {in_words(hint)}, got {as_yaml(value)}")
            _check_sections(value, hint, f"{prefix}{key}.")
        elif hint == dict[str, Any] and not isinstance(value, Mapping):
            raise UserError(f"{prefix}{key}: expected keys and values, among them _target_, got {as_yaml(value)}")


def _check_ranges(config: Config) -> None:
    values = flatten(dataclasses.asdict(config))
    for path, least in LEAST.items():
        value = values[path]
        if value is not None and not least <= value:
            raise UserError(f"{path}: expected {least} or more, got {as_yaml(value)}")
    if config.train.clip_norm is not None and not config.train.clip_norm > 0:
        raise UserError(f"train.clip_norm: expected a number above 0, or null, got {as_yaml(config.train.clip_norm)}")
    precision = config.train.matmul_precision
    if precision is not None and precision not in MATMUL_PRECISIONS:
        raise UserError(f"train.matmul_precision: expected {', '.join(MATMUL_PRECISIONS)} or null, got {precision!r}")
    if config.seed >= 2**32:
        raise UserError(f"seed: expected less than 2**32, got {config.seed!r}")
    if not config.output:
        raise UserError("output: expected a folder for the results, got ''; the current one is .")


def identity(config: Config) -> dict[str, Any]:
    """The part of a configuration that determines the run's numbers (but for rounding), as plain nested values."""
    values = dataclasses.asdict(config)
    del values["model"]["remat_every"]
    if values["train"]["matmul_precision"] is None:  # came later: runs from before keep their identity
        del values["train"]["matmul_precision"]
    del values["train"]["checkpoint_seconds"]
    return {key: values[key] for key in ("model", "task", "optimizer", "train", "probe", "seed")}


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
