"""A run's configuration. Every key is declared here once, with its type, default, help, limits and roles."""

# ruff cannot know that `key` returns a dataclass field.
# ruff: noqa: RUF009

import dataclasses
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from rnnbench.config.metadata import Declaration, key

MATMUL_PRECISIONS = {"bfloat16": "BF16_BF16_F32", "tensorfloat32": "TF32_TF32_F32", "float32": "F32_F32_F32"}
"""The types that matmuls multiply in, and JAX's names for them.

All of them add up in float32, and all states and weights are float32.
"""


@dataclasses.dataclass
class ModelConfig:
    """An embedding (of tokens), a stack of recurrent layers of one cell, and a linear readout."""

    name: str = key(MISSING, help="what records and figures call it")
    cell: dict[str, Any] = key(MISSING, help="the cell, by _target_ and its arguments")
    hidden_size: int | None = key(
        64, help="features of the recurrent state of a layer; null: found from model.parameters", least=1
    )
    parameters: int | None = key(
        None,
        help="parameters of the whole model; the hidden size is then the one that comes nearest to it",
        least=1,
        added=True,
    )
    num_layers: int = key(1, help="recurrent layers; each is compiled, so many take long", least=1, below=101)
    embedding_size: int | None = key(
        32, help="features of a token, where the inputs are tokens; null: as many as a layer's output has", least=1
    )
    residual: bool = key(
        False, help="add a layer's input to its output, from the second layer on (He et al. 2016)", added=True
    )
    layer_norm: bool = key(
        False,
        help="normalise a layer's output, before a residual is added: gain and bias per layer (Ba et al. 2016)",
        added=True,
    )
    bidirectional: bool = key(
        False,
        help="read a sequence backwards too, with a second cell in each layer (Schuster and Paliwal 1997)",
        added=True,
    )
    tie_embedding: bool = key(
        False, help="read the output with the embedding, transposed (Press and Wolf 2017)", added=True
    )
    dropout: float = key(
        0.0,
        help="share of a layer's outputs that training drops, on their way up only (Zaremba et al. 2014)",
        least=0,
        below=1,
        foldable=True,
        added=True,
    )
    recurrent_dropout: float = key(
        0.0,
        help="share of the recurrent weights that training drops, the same at all time steps (Merity et al. 2018)",
        least=0,
        below=1,
        foldable=True,
        added=True,
    )
    remat_every: int | None = key(
        None,
        help="keep the states of every so many steps and compute the others again, which spares memory on long "
        "sequences; null: keep all",
        least=1,
        identity=False,
        compiled=True,
    )
    unroll: str | None = key(
        None,
        help="how a cell that is linear in its state computes it over time; null: as is faster on the device",
        choices=("sequential", "parallel"),
        identity=False,
        compiled=True,
    )


@dataclasses.dataclass
class TrainConfig:
    """How a model is trained, and for how long."""

    # Only says how far a run is trained: a longer training of the same run continues a shorter one.
    steps: int = key(2000, help="training steps", least=1, identity=False, described=True, compiled=True)
    batch_size: int = key(64, help="examples in a training step", least=1)
    eval_every: int = key(100, help="steps between two evaluations on the test set", least=1)
    log_every: int = key(10, help="steps between two records of the training loss and its gradient norms", least=1)
    clip_norm: float | None = key(
        1.0, help="largest global norm of the gradient; null: no clipping", above=0, foldable=True
    )
    clip_value: float | None = key(
        None, help="largest entry of the gradient, before the norm is clipped", above=0, foldable=True, added=True
    )
    clip_ratio: float | None = key(
        None,
        help="largest norm of the gradient of a unit's weights, as a multiple of theirs, after the norm is clipped "
        "(Brock et al. 2021)",
        above=0,
        foldable=True,
        added=True,
    )
    truncate: int | None = key(
        None,
        help="steps of a segment, beyond which no gradient passes back in time, while the states are carried on "
        "(Williams & Peng 1990); null: it passes through all",
        least=1,
        added=True,
    )
    curriculum: float | None = key(
        None,
        help="moving average of the training score at which the largest length of a task with several grows by a "
        "quarter; null: all lengths from the start",
        above=0,
        foldable=True,
        added=True,
    )
    omega: float = key(
        0.0,
        help="weight of the regulariser of Pascanu et al. (2013), which keeps the norm of the gradient on its way back",
        least=0,
        foldable=True,
    )
    stop_when_solved: bool = key(False, help="end a job early, once every run of it is solved or diverged")
    matmul_precision: str | None = key(
        None,
        help="type that the matmuls of training steps multiply in, where the device has it (a CPU has float32); "
        "null: JAX's choice",
        choices=tuple(MATMUL_PRECISIONS),
    )
    test_size: int = key(1024, help="examples in the test set, where they are generated", least=1)
    checkpoint_seconds: float = key(60.0, help="least time between two checkpoints", least=0, identity=False)


@dataclasses.dataclass
class ProbeConfig:
    """Which probes (`rnnbench.probes`) are measured in training, on a fixed batch of examples."""

    at_evaluation: list[str] = key(
        ["gradient_flow"],
        help="probes measured at every evaluation: names, or dotted names of classes",
    )
    at_end: list[str] = key(
        ["gate_traces"],
        help="probes measured at the end of training",
        identity=False,
    )
    size: int = key(64, help="examples in the batch", least=1)


@dataclasses.dataclass
class PopulationConfig:
    """How a sweep (-m) trains runs that differ only in foldable numbers together, as one program."""

    max_size: int = key(
        128, help="maximum number of runs in one program; 1: train every run by itself", least=1, identity=False
    )
    # A dictionary of lists. OmegaConf cannot merge one into a key with that type whose value is null.
    members: Any = key(None, help="by key, the values of the members; the sweep sets it", identity=False)
    place: str | None = key(
        None, help="which job of how many this is, such as 2/6; the sweep sets it", identity=False, recorded=False
    )


@dataclasses.dataclass
class DistributedConfig:
    """One job in several processes, each started by the same command. Under Slurm, nothing needs to be set here."""

    coordinator: str | None = key(
        None, help="host:port of the first process, to which the others connect", identity=False, recorded=False
    )
    processes: int | None = key(None, help="how many there are", least=1, identity=False, recorded=False)
    process: int | None = key(None, help="number of this process, from 0", least=0, identity=False, recorded=False)


@dataclasses.dataclass
class Config:
    """The configuration of a run."""

    model: ModelConfig = dataclasses.field(default_factory=ModelConfig)
    init: dict[str, Any] | None = key(
        None, help="what replaces a part of the cell's initial parameters, by _target_ and its arguments", added=True
    )
    task: dict[str, Any] = key(MISSING, help="the task, by _target_ and its arguments")
    optimizer: dict[str, Any] = key(MISSING, help="the optimizer, by _target_ and its arguments")
    schedule: dict[str, Any] | None = key(
        None, help="what the learning rate is multiplied by at each step, by _target_ and its arguments", added=True
    )
    train: TrainConfig = dataclasses.field(default_factory=TrainConfig)
    probe: ProbeConfig = dataclasses.field(default_factory=ProbeConfig)
    population: PopulationConfig = dataclasses.field(default_factory=PopulationConfig)
    distributed: DistributedConfig = dataclasses.field(default_factory=DistributedConfig)
    logger: dict[str, Any] | None = key(
        None, help="where else the records go, by _target_ and its arguments", identity=False
    )
    seed: int = key(
        0,
        help="seed of the initialisation and the training data; the test set is the same for every seed",
        least=0,
        below=2**32,
        foldable=True,
    )
    output: str = key("results", help="root of the results; each job gets a folder in it", identity=False)
    overwrite: bool = key(
        False, help="train again what is already there, from the start", identity=False, recorded=False
    )
    devices: int | None = key(None, help="CPU devices to use; null: one per core", least=1, identity=False)
    compilation_cache: bool = key(
        True,
        help="keep compiled programs in the user's cache folder: the same program starts sooner the next time",
        identity=False,
        recorded=False,
    )
    report: bool = key(
        True,
        help="end a sweep by writing report.html, a page about all that is in output",
        identity=False,
        recorded=False,
    )
    experiment: dict[str, Any] = key(
        {}, help="tables that a study looks its settings up in, as in ${experiment.steps.${task.name}}", identity=False
    )


CELL_ARGUMENTS = ("in_features", "hidden_features", "rngs")
"""The arguments that every cell is called with besides its own keys, as cells of `flax.nnx` are."""

_RATE = Declaration(help="a step size, or a small constant", least=0)
_DECAY = Declaration(help="what an average keeps of its past at every step", least=0, below=1)

OPTAX_LIMITS = {
    **dict.fromkeys(("learning_rate", "weight_decay", "eps", "eps_root"), _RATE),
    **dict.fromkeys(("b1", "b2", "b3", "decay", "momentum"), _DECAY),
}
"""Limits of the numbers that optax's optimizers have in common and do not check themselves, by argument.

An argument that only one optimizer has, a schedule, and a number inside `_args_` are left to optax.
"""

ConfigStore.instance().store(
    name="rnnbench_schema", node=Config, provider="rnnbench"
)  # conf/config.yaml starts with it
