"""A run's configuration: its keys, their types, defaults and limits."""

import dataclasses
from typing import Any

from omegaconf import MISSING

from rnnbench.config.annotations import FOLDABLE


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
    """What is measured in training on a fixed batch, by probes (`rnnbench.probes`).

    Attributes:
        at_evaluation: probes measured at every evaluation: names, or dotted names of classes.
        at_end: probes measured at the end of training.
        size: examples in the batch.
    """

    at_evaluation: list[str] = dataclasses.field(default_factory=lambda: ["gradient_flow"])
    at_end: list[str] = dataclasses.field(default_factory=lambda: ["gate_traces"])
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
