"""A run's configuration: its schema, its check and its identity."""

import copy
import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rnnbench.annotations import FOLDABLE, as_yaml, in_words
from rnnbench.errors import UserError
from rnnbench.mistakes import describe_config
from rnnbench.targets import check_call, foldable_arguments, is_number, without_name
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

    `omega` weighs the regulariser of Pascanu et al. (2013), see `rnnbench.probes.omega`, against the loss.
    `stop_when_solved` ends a job once every run of it is solved or diverged.
    `matmul_precision` is that of the training steps alone, a key of `MATMUL_PRECISIONS`; None: JAX's choice.
    """

    steps: int = 2000
    batch_size: int = 64
    eval_every: int = 100
    log_every: int = 10
    clip_norm: float | None = dataclasses.field(default=1.0, metadata={FOLDABLE: True})
    omega: float = dataclasses.field(default=0.0, metadata={FOLDABLE: True})
    stop_when_solved: bool = False
    matmul_precision: str | None = None
    test_size: int = 1024
    checkpoint_seconds: float = 60.0


@dataclasses.dataclass
class ProbeConfig:
    """What is measured on a fixed batch of `size` examples at every evaluation, and at the end.

    Attributes:
        gradient_flow: ||dL/dh_t|| for every time step, at every evaluation.
        gate_traces: the gates word by word, in sentences that the task names, at the end.
        size: examples in the batch.
    """

    gradient_flow: bool = True
    gate_traces: bool = True
    size: int = 64


@dataclasses.dataclass
class PopulationConfig:
    """How the runs of a sweep that differ in foldable numbers alone are trained as one program.

    Attributes:
        max_size: the most runs in one program; 1 trains every run by itself.
        members: by key, the value of every member. The sweep sets it.
        place: which job of how many this is, such as "2/6". The sweep sets it.
    """

    max_size: int = 128
    members: dict[str, list[Any]] | None = None
    place: str | None = None


@dataclasses.dataclass
class DistributedConfig:
    """How one job runs in several processes, each started by the same command: none of it where Slurm starts them.

    Attributes:
        coordinator: `host:port` of the first process, by which they meet.
        processes: how many there are.
        process: which of them this is, from 0 on.
    """

    coordinator: str | None = None
    processes: int | None = None
    process: int | None = None


@dataclasses.dataclass
class Config:
    """Everything about a run. `task`, `optimizer` and `logger` are keyword arguments of their `_target_`.

    Attributes:
        devices: number of CPU devices; None: one per core.
        compilation_cache: whether compiled programs are kept in the user's cache folder.
        report: whether a sweep ends with a page about all that is in its output folder.
        experiment: tables that a study looks its settings up in. What comes out of them is in the
            settings themselves, so they are no part of a run's identity.
    """

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    task: dict[str, Any] = MISSING
    optimizer: dict[str, Any] = MISSING
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    probe: ProbeConfig = dataclasses.field(default_factory=ProbeConfig)
    population: PopulationConfig = dataclasses.field(default_factory=PopulationConfig)
    distributed: DistributedConfig = dataclasses.field(default_factory=DistributedConfig)
    logger: dict[str, Any] | None = None
    seed: int = dataclasses.field(default=0, metadata={FOLDABLE: True})
    output: str = "results"
    overwrite: bool = False
    devices: int | None = None
    compilation_cache: bool = True
    report: bool = True
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
    "train.omega": 0,
    "probe.size": 1,
    "population.max_size": 1,
    "distributed.processes": 1,
    "distributed.process": 0,
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


def parse_members(cfg: DictConfig) -> list[Config]:
    """The configuration of every member of a job, from `population.members`; of its one run where that is null."""
    table = OmegaConf.to_container(cfg.population).get("members")  # type: ignore[union-attr]
    if table is None:
        return [parse(cfg)]
    if not isinstance(table, dict) or not all(isinstance(values, list) for values in table.values()):
        raise UserError(f"population.members: expected a list of values for each key, got {as_yaml(table)}")
    if len({len(values) for values in table.values()}) != 1:
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
    return members


def cfg_of_member(cfg: DictConfig, values: Mapping[str, Any]) -> DictConfig:
    """A composed configuration with a member's values, on which others may hang by interpolation."""
    cfg = copy.deepcopy(cfg)
    for key, value in values.items():
        OmegaConf.update(cfg, key, value)
    return cfg


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
    given = {name for name, value in dataclasses.asdict(config.distributed).items() if value is not None}
    if given and len(given) < 3:
        missing = sorted({"coordinator", "processes", "process"} - given)
        raise UserError(f"distributed: expected all of coordinator, processes and process; {missing[0]} is missing")
    if given and config.distributed.process >= config.distributed.processes:  # type: ignore[operator]
        raise UserError(
            f"distributed.process: expected less than distributed.processes, {config.distributed.processes}, "
            f"got {config.distributed.process}"
        )
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
    if not values["train"]["stop_when_solved"]:
        del values["train"]["stop_when_solved"]
    if values["train"]["omega"] == 0:
        del values["train"]["omega"]
    del values["probe"]["gate_traces"]
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
