"""Runs that share one XLA program and differ only in numbers: how they are built, placed and stepped together."""

import functools
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import platformdirs
from flax import nnx
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, PRNGKeyArray, PyTree

from rnnbench import probes
from rnnbench.config import CELL_ARGUMENTS, MATMUL_PRECISIONS, Config, identity, instantiate, partial
from rnnbench.errors import UserError
from rnnbench.model import Model
from rnnbench.tasks.base import Example, Task
from rnnbench.training import RunState, init_state, train_step

AXIS = "device"
EVALUATION_CHUNK = 256
"""Examples evaluated at a time: bounds the memory that a long test sequence takes."""


def use_cpu_devices(count: int) -> None:
    """Makes JAX show this many CPU devices: one of them runs a scan on one core. Before JAX's first computation."""
    jax.config.update("jax_num_cpu_devices", count)


CACHE_BYTES = 2**30
"""Size of the folder of compiled programs; what was not used for longest goes first."""


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder: the same program starts sooner the next time.

    A folder that JAX was given already (`JAX_COMPILATION_CACHE_DIR`) is left as it is, and where the user's cannot be
    written, there is no cache.
    """
    if jax.config.jax_compilation_cache_dir is not None:  # type: ignore[attr-defined]
        return
    folder = Path(platformdirs.user_cache_dir("rnnbench", appauthor=False)) / "programs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK):
        return
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", CACHE_BYTES)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.05)


def make_optimizer(config: Config) -> optax.GradientTransformation:
    """Clipping by global norm, then the configured optimizer; their numbers live in the state."""
    factory = partial(config.optimizer, "optimizer")
    optimizer = optax.inject_hyperparams(factory.func)(*factory.args, **factory.keywords)
    if config.train.clip_norm is None:
        return optimizer
    clip = optax.inject_hyperparams(optax.clip_by_global_norm)(max_norm=float(config.train.clip_norm))
    return optax.chain(clip, optimizer)


RUNS_ONCE = {"xla_backend_optimization_level": 0}
"""Compiler options of what runs once or seldom: it compiles in a third of the time."""


@functools.lru_cache(maxsize=4)
def _task_and_sets(node: str, test_size: int, probe_size: int) -> tuple[Task, Example, Example]:
    """The task of a config node (as JSON), with its test set and its probe batch: the same for every cell."""
    task = instantiate(json.loads(node), "task")
    if not isinstance(task, Task):
        raise UserError(f"task._target_: expected a subclass of rnnbench.tasks.Task, got {type(task).__name__}")
    draw = jax.jit(lambda: (task.test_set(test_size), task.probe_set(probe_size)), compiler_options=RUNS_ONCE)
    return task, *jax.device_get(draw())


class Program:
    """The compiled functions that every member of a population shares.

    Attributes:
        task: the members' task.
        test_set: its fixed test set.
        probe_set: its fixed probe batch.
        init: a member's seed to its first `RunState`.
        segment: members' states to their states `eval_every` steps later, and the scalars of every step,
            each `(members, steps)`. It consumes the states that it is given.
        evaluate: members' parameters to the test metrics and loss of every example, each `(members, examples)`.
        gradient_flow: members' parameters to `probes.gradient_flow`, each `(members, time)`.
        predict: one member's parameters, inputs and mask to the outputs.
    """

    def __init__(self, config: Config, members: int, devices: Sequence[jax.Device]):
        """Builds and compiles.

        Args:
            config: any member's; of its numbers none but those in `RunState` matter.
            members: how many there are.
            devices: where they run.

        Raises:
            UserError: the config's objects cannot be built, or do not go together.
        """
        self.config = config
        self.members = members
        self.task, self.test_set, self.probe_set = _task_and_sets(
            json.dumps(config.task), config.train.test_size, config.probe.size
        )
        self.make_cell = partial(config.model.cell, "model.cell", given=CELL_ARGUMENTS)
        self._spread_over(devices)

        self.graphdef, self.constants = _split(nnx.eval_shape(self._build, jax.random.key(0)))
        if self.constants:  # a foreign cell may hold more than parameters (random states, say): as they are built
            _, self.constants = _split(self._build(jax.random.key(0)))

        first_state = functools.partial(init_state, init_params=self._init_params, optimizer=make_optimizer(config))
        self.init = jax.jit(first_state, compiler_options=RUNS_ONCE)
        # Compiled ahead: a compiled program cannot compile again between two segments, it can only refuse.
        segment = self._spread(self._segment, (self.state_spec,), (self.state_spec, self.state_spec))
        self.segment = jax.jit(segment, donate_argnums=0).lower(self.abstract_states).compile()
        self._test_chunks = self._chunked(self.test_set)
        self._evaluate_chunks = jax.jit(
            self._spread(self._evaluate, (self.state_spec, self.data_spec), P(*self.state_spec, *self.data_spec))
        )
        self.gradient_flow = jax.jit(self._spread(self._each(self._gradient_flow), (self.state_spec,), self.state_spec))
        self.predict = jax.jit(lambda params, inputs, mask: self._model(params)(inputs, mask)[0])

    def _spread_over(self, devices: Sequence[jax.Device]) -> None:
        """Spreads the members over the devices, or the batch where the members do not divide evenly."""
        count = len(devices)
        self.state_spec, self.data_spec = P(None), P(None)
        self.batch_axis: str | None = None
        if self.members % count == 0:
            self.state_spec = P(AXIS)
        elif self.config.train.batch_size % count == 0:
            self.data_spec, self.batch_axis = P(AXIS), AXIS
        else:
            devices = devices[:1]
        self.mesh = Mesh(np.array(devices), (AXIS,))

    def place(self, states: Sequence[RunState]) -> RunState:
        """One state for all members, each leaf with a leading axis, from the members' states."""
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        return jax.device_put(stacked, NamedSharding(self.mesh, self.state_spec))

    @property
    def abstract_states(self) -> RunState:
        """Shapes, types and placement of the members' states."""
        sharding = NamedSharding(self.mesh, self.state_spec)
        one = jax.eval_shape(self.init, jax.ShapeDtypeStruct((), jnp.uint32))
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((self.members, *x.shape), x.dtype, sharding=sharding), one)

    def _build(self, key: PRNGKeyArray) -> Model:
        model = self.config.model
        return Model(
            self.make_cell,
            self.task,
            hidden_size=model.hidden_size,
            num_layers=model.num_layers,
            embedding_size=model.embedding_size,
            remat_every=model.remat_every,
            rngs=nnx.Rngs(key),
        )

    def _init_params(self, key: PRNGKeyArray) -> PyTree:
        return nnx.to_pure_dict(nnx.state(self._build(key), nnx.Param))

    def _model(self, params: PyTree) -> Model:
        return nnx.merge(self.graphdef, params, self.constants)

    def _spread(self, function: Callable, inputs: Any, outputs: Any) -> Callable:
        """Runs `function` on every device of the mesh, each with its share of the members or of the data."""
        return jax.shard_map(function, mesh=self.mesh, in_specs=inputs, out_specs=outputs, check_vma=False)

    def _each(self, function: Callable) -> Callable:
        """Maps over members: one after the other on CPU, where batched small matmuls are slow; else together."""
        if jax.default_backend() == "cpu":
            return lambda members: lax.map(function, members)
        return jax.vmap(function)

    def _segment(self, states: RunState) -> tuple[RunState, dict[str, Array]]:
        config = self.config
        step = functools.partial(
            train_step,
            apply=lambda params, batch: self._model(params)(batch.inputs, batch.mask)[0],
            task=self.task,
            optimizer=make_optimizer(config),
            batch_size=config.train.batch_size,
            steps=config.train.steps,
            clip_norm=config.train.clip_norm,
            batch_axis=self.batch_axis,
        )
        length = min(config.train.eval_every, config.train.steps)
        with jax.default_matmul_precision(MATMUL_PRECISIONS.get(config.train.matmul_precision or "")):
            return self._each(lambda state: lax.scan(lambda s, _: step(s), state, None, length=length))(states)

    def _chunked(self, batch: Example) -> Example:
        """The batch as `(chunks, chunk, ...)`, padded by its last example so that every device gets as many."""
        size, devices = len(batch.mask), self.mesh.size
        chunks = devices * math.ceil(size / (devices * EVALUATION_CHUNK))
        chunk = math.ceil(size / chunks)

        def reshape(x: np.ndarray) -> Array:
            padded = np.concatenate([x, np.repeat(x[-1:], chunks * chunk - size, axis=0)])
            whole = padded.reshape(chunks, chunk, *x.shape[1:])
            return jax.device_put(whole, NamedSharding(self.mesh, self.data_spec))

        return jax.tree.map(reshape, batch)

    def evaluate(self, params: PyTree) -> dict[str, np.ndarray]:
        size = len(self.test_set.mask)
        metrics = jax.device_get(self._evaluate_chunks(params, self._test_chunks))
        return {name: values.reshape(self.members, -1)[:, :size] for name, values in metrics.items()}

    def _evaluate(self, params: PyTree, chunks: Example) -> dict[str, Array]:
        def of_member(params: PyTree) -> dict[str, Array]:
            def of_chunk(batch: Example) -> dict[str, Array]:
                outputs = self._model(params)(batch.inputs, batch.mask)[0]
                return {"loss": jax.vmap(self.task.loss)(outputs, batch), **jax.vmap(self.task.metrics)(outputs, batch)}

            return lax.map(of_chunk, chunks)

        return self._each(of_member)(params)

    def _gradient_flow(self, params: PyTree) -> dict[tuple[int, str], Array]:
        batch = jax.tree.map(jnp.asarray, self.probe_set)
        return probes.gradient_flow(self._model(params), self.task, batch)


def _split(model: Model) -> tuple[nnx.GraphDef, nnx.State]:
    """A model's structure, and what it holds beside its parameters."""
    graphdef, _, others = nnx.split(model, nnx.Param, ...)  # type: ignore[misc]
    return graphdef, others


class _Shared:
    """A config as far as its compiled program goes: two with the same program are equal."""

    def __init__(self, config: Config):
        self.config = config
        shared = identity(config) | {"seed": None, "remat_every": config.model.remat_every}
        self.key = json.dumps(shared, sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@functools.lru_cache(maxsize=2)
def _program(shared: _Shared, members: int, devices: tuple[jax.Device, ...]) -> Program:
    return Program(shared.config, members, devices)


def program(configs: Sequence[Config], devices: Sequence[jax.Device] | None = None) -> Program:
    """The program of a population: compiled once for all runs that differ in their seed alone."""
    return _program(_Shared(configs[0]), len(configs), tuple(devices or jax.local_devices()))
