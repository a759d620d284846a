"""Runs that share one XLA program and differ only in numbers: how they are placed and trained together."""

import dataclasses
import functools
import json
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array, PyTree

from rnnbench.config.applicable import check_applicable
from rnnbench.config.identity import compiled, flatten, foldable, identity
from rnnbench.config.objects import blame, instantiate, partial
from rnnbench.config.schema import MATMUL_PRECISIONS, Config
from rnnbench.errors import UserError
from rnnbench.probes.base import Probe, answer_step
from rnnbench.tasks.base import Example, Task
from rnnbench.training import distributed, memory
from rnnbench.training.building import Builder
from rnnbench.training.curriculum import start
from rnnbench.training.optimizer import make_optimizer, make_schedule, numbers_of
from rnnbench.training.step import Numbers, RunState, init_state, train_step

AXIS = "device"

EVALUATION_CHUNK = 256
"""Number of examples evaluated at a time, which limits the memory for long test sequences."""

RUNS_ONCE = {"xla_backend_optimization_level": 0}
"""Compiler options for what runs only once or rarely: it compiles in a third of the time."""


@functools.lru_cache(maxsize=64)
def _task_of(node: str) -> Task:
    """Returns the task of a config node (as JSON). All members and cells with the same node share one object."""
    task = instantiate(json.loads(node), "task")
    if not isinstance(task, Task):
        raise UserError(f"task._target_: expected a subclass of rnnbench.tasks.Task, got {type(task).__name__}")
    return task


@functools.lru_cache(maxsize=128)
def _test_set(task: Task, size: int) -> Example:
    memory.require(memory.size_of(jax.eval_shape(lambda: task.test_set(size))), f"a test set of {size} examples")
    return jax.device_get(jax.jit(lambda: task.test_set(size), compiler_options=RUNS_ONCE)())


@functools.lru_cache(maxsize=128)
def _probe_set(task: Task, size: int) -> tuple[Example, int]:
    """Returns a task's probe set, and the step of its answer. Both take longer to find than most probes take."""
    _check_probe_set(task, size)
    batch = jax.device_get(jax.jit(lambda: task.probe_set(size), compiler_options=RUNS_ONCE)())
    return batch, answer_step(task, batch)


def _check_probe_set(task: Task, size: int) -> None:
    """Refuses a probe set that does not fit into memory."""
    memory.require(memory.size_of(jax.eval_shape(lambda: task.probe_set(size))), f"a probe set of {size} examples")


class Program:
    """The compiled functions that every member of a population shares.

    Attributes:
        folded: the configuration keys, apart from the seed, in which the members differ.
        tasks: each member's task; the same for all, unless a number of the task is folded.
        test_sets: each member's test set, as NumPy arrays.
        builder: builds the members' models.
        predict: maps one member's parameters and numbers, inputs and mask to the outputs.
    """

    def __init__(self, configs: Sequence[Config], devices: Sequence[jax.Device]):
        """Builds the program. Its functions are compiled when they are first used.

        Args:
            configs: the members' configurations; they differ only in foldable numbers.
            devices: the devices on which the members run.

        Raises:
            UserError: the objects in the configuration cannot be built, or do not fit together.
        """
        self.config = config = configs[0]
        self.members = len(configs)
        self.folded = _folded(configs)
        values = [flatten(dataclasses.asdict(config)) for config in configs]
        whole = {key for key in self.folded if all(isinstance(own[key], int) for own in values)}
        self.dtypes = {key: np.int32 if key in whole else np.float32 for key in self.folded}
        self.tasks = [_task_of(json.dumps(c.task, sort_keys=True)) for c in configs]
        self.test_sets = [_test_set(task, config.train.test_size) for task in self.tasks]
        for own in configs:  # to refuse the numbers of any member, which are traced later
            make_schedule(own, {})
            check_applicable(own, self.folded)
        self.builder = Builder(config, self.tasks[0])
        for own in configs:
            self.builder.check(own, self.folded)
        if config.train.curriculum is not None:
            with blame("train"):
                start(self.tasks[0])
        self._spread_over(devices)

        self._init = jax.jit(self._first_state, compiler_options=RUNS_ONCE)
        self._place_sets()
        evaluate = self._spread(self._evaluate, (P(None, *self.data_spec),), P(*self.state_spec, *self.data_spec))
        self._evaluate_chunks = jax.jit(evaluate)
        self._measuring: dict[tuple[Probe, int, int], tuple[Callable, Example]] = {}
        self._segment_compiled: Any = None
        self.predict = jax.jit(
            lambda params, numbers, inputs, mask: self.builder.model(params, numbers)(inputs, mask)[0]
        )

    def compile(self) -> None:
        """Compiles the segment ahead of time, so that it can never be recompiled between segments.

        Raises:
            UserError: the segment does not fit into memory.
        """
        if self._segment_compiled is None:
            memory.require(memory.size_of(self.abstract_states), "the state of the training")
            if self.config.probe.at_evaluation or self.config.probe.at_end:
                for task in self._distinct:
                    _check_probe_set(task, self.config.probe.size)
            segment = self._spread(self._segment, (), (self.state_spec, self.state_spec))
            self._segment_compiled = jax.jit(segment, donate_argnums=0).lower(self.abstract_states).compile()
            memory.require(int(self.megabytes * 1e6), "the training step")

    def segment(self, states: RunState) -> tuple[RunState, dict[str, Array]]:
        """Trains the members for `eval_every` steps.

        Args:
            states: the members' states; their buffers are donated.

        Returns:
            The new states, and the scalars of every step, each `(members, steps)`.
        """
        self.compile()
        return self._segment_compiled(states)

    @property
    def megabytes(self) -> float:
        """Returns the memory that the segment needs, for the members' states and for their steps."""
        self.compile()
        found: Any = self._segment_compiled.memory_analysis()
        sizes = found.argument_size_in_bytes, found.output_size_in_bytes, found.temp_size_in_bytes
        return (sum(sizes) - found.alias_size_in_bytes) * self.mesh.size / 1e6

    def _spread_over(self, devices: Sequence[jax.Device]) -> None:
        """Distributes the members over the devices, or the batch if the members are few and do not divide evenly.

        If neither divides evenly, members are repeated to fill the devices.
        """
        count = len(devices)
        self.state_spec, self.data_spec = P(AXIS), P(None)
        self.batch_axis: str | None = None
        if self.members % count and self.members < 4 * count and self.config.train.batch_size % count == 0:
            self.state_spec, self.data_spec, self.batch_axis = P(None), P(AXIS), AXIS
        elif self.members == 1:
            devices = devices[:1]
        self.mesh = Mesh(np.array(devices), (AXIS,))
        self.repeated = 0 if self.batch_axis else -self.members % len(devices)
        # Repeated within the program: only the members themselves are kept between segments.
        self.sharding = NamedSharding(self.mesh, P(None) if self.repeated else self.state_spec)

    def init(self, config: Config) -> RunState:
        """Returns a member's state before its first step."""
        return self._init(np.uint32(config.seed), self._numbers(config))

    def _numbers(self, config: Config) -> Numbers:
        values = flatten(dataclasses.asdict(config))
        return {key: jnp.asarray(values[key], dtype) for key, dtype in self.dtypes.items()}

    def _first_state(self, seed: Array, numbers: Numbers) -> RunState:
        init_key, data_key = jax.random.split(jax.random.key(seed))
        params = self.builder.params(init_key, numbers)
        curriculum = None if self.config.train.curriculum is None else start(self.tasks[0])
        return init_state(params, data_key, make_optimizer(self.config, numbers), numbers, curriculum)

    def place(self, states: Sequence[RunState]) -> RunState:
        """Returns the members' states as one, each leaf with a leading axis, placed on the devices."""
        stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
        return distributed.put(stacked, self.sharding)

    @property
    def abstract_states(self) -> RunState:
        """Returns the shapes, types and placement of the members' states."""
        one = jax.eval_shape(self._init, np.uint32(0), self._numbers(self.config))
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct((self.members, *x.shape), x.dtype, sharding=self.sharding), one
        )

    def _task(self, numbers: Numbers) -> Task:
        """Returns the task that a member trains on."""
        own = numbers_of(numbers, "task")
        return partial(self.config.task, "task")(**own) if own else self.tasks[0]

    def _spread(self, function: Callable, shared: tuple[P, ...], outputs: Any) -> Callable:
        """Maps a function of one member, and of shared arguments, over the members that each device holds.

        A CPU device takes its members one after the other, since batched small matmuls are slow there; other devices
        take them together.
        """

        def on_device(members: PyTree, *shared: PyTree) -> PyTree:
            def of_one(member: PyTree) -> PyTree:
                return function(member, *shared)

            return lax.map(of_one, members) if jax.default_backend() == "cpu" else jax.vmap(of_one)(members)

        specs = (self.state_spec, *shared)
        spread = jax.shard_map(on_device, mesh=self.mesh, in_specs=specs, out_specs=outputs, check_vma=False)
        if self.repeated == 0:
            return spread

        def with_repeated(members: PyTree, *shared: PyTree) -> PyTree:
            filled = jnp.minimum(jnp.arange(self.members + self.repeated), self.members - 1)
            results = spread(jax.tree.map(lambda leaf: leaf[filled], members), *shared)
            return lax.with_sharding_constraint(
                jax.tree.map(lambda leaf: leaf[: self.members], results), NamedSharding(self.mesh, P(None))
            )

        return with_repeated

    def _segment(self, state: RunState) -> tuple[RunState, dict[str, Array]]:
        config = self.config
        structure = self.builder.structure(state.numbers)

        def step(state: RunState, _: None) -> tuple[RunState, dict[str, Array]]:
            def number(key: str, value: float) -> float | Array | None:
                """Returns a number of this member, or None if it is 0 for all: what it scales is then not computed."""
                return state.numbers.get(key, value or None)

            return train_step(
                state,
                structure=structure,
                task=self._task(state.numbers),
                optimizer=make_optimizer(config, state.numbers),
                batch_size=config.train.batch_size,
                steps=config.train.steps,
                omega_weight=number("train.omega", config.train.omega),
                dropout=number("model.dropout", config.model.dropout),
                recurrent_dropout=number("model.recurrent_dropout", config.model.recurrent_dropout),
                truncate=config.train.truncate,
                curriculum=state.numbers.get("train.curriculum", config.train.curriculum),
                batch_axis=self.batch_axis,
            )

        length = min(config.train.eval_every, config.train.steps)
        with jax.default_matmul_precision(MATMUL_PRECISIONS.get(config.train.matmul_precision or "")):
            return lax.scan(step, state, None, length=length)

    def _place_sets(self) -> None:
        """Puts the test sets of the distinct tasks on the devices, with the index of each member's task."""
        self._distinct = list(dict.fromkeys(self.tasks))
        which = np.array([self._distinct.index(task) for task in self.tasks], np.int32)
        self._which = distributed.put(which, self.sharding)
        tests = [self._chunked(_test_set(task, self.config.train.test_size)) for task in self._distinct]
        self._test_chunks = self._place(tests, P(None, *self.data_spec))

    def _place(self, sets: list[Example], spec: P) -> Example:
        """Stacks the distinct tasks' sets, and puts them on the devices."""
        return distributed.put(jax.tree.map(lambda *x: np.stack(x), *sets), NamedSharding(self.mesh, spec))

    def _chunked(self, batch: Example) -> Example:
        """Returns the batch as `(chunks, chunk, ...)`, padded with its last example to give devices equal shares."""
        size, devices = len(batch.mask), self.mesh.size
        chunks = devices * math.ceil(size / (devices * EVALUATION_CHUNK))
        chunk = math.ceil(size / chunks)

        def reshape(x: np.ndarray) -> np.ndarray:
            padded = np.concatenate([x, np.repeat(x[-1:], chunks * chunk - size, axis=0)])
            return padded.reshape(chunks, chunk, *x.shape[1:])

        return jax.tree.map(reshape, batch)

    def evaluate(self, states: RunState) -> tuple[dict[str, np.ndarray], np.ndarray | None]:
        """Returns test metrics and loss of every example, each `(members, examples)`, and the scores of its answers.

        These are `(members, examples, answers)`, or None if no breakdown of the task needs them.
        """
        size = len(self.test_sets[0].mask)  # a task with a fixed test set may have more or fewer than were asked for
        found = distributed.fetch(self._evaluate_chunks(self._members(states), self._test_chunks))
        return jax.tree.map(lambda values: values.reshape(self.members, -1, *values.shape[3:])[:, :size], found)

    def _members(self, states: RunState) -> tuple[PyTree, PyTree, Array]:
        """Returns what a measurement needs from each member: parameters, numbers, and the index of its task."""
        return states.params, states.numbers, self._which

    def _evaluate(self, member: tuple[PyTree, Numbers, Array], sets: Example) -> tuple[dict[str, Array], Array | None]:
        params, numbers, which = member
        task, model = self._task(numbers), self.builder.model(params, numbers)

        def of_chunk(batch: Example) -> tuple[dict[str, Array], Array | None]:
            outputs = model(batch.inputs, batch.mask)[0]
            by_answer = any(batch.info[by].ndim > 1 for by in task.breakdowns)
            answers = jax.vmap(task.answer_scores)(outputs, batch) if by_answer else None
            return {"loss": jax.vmap(task.loss)(outputs, batch), **jax.vmap(task.metrics)(outputs, batch)}, answers

        return lax.map(of_chunk, jax.tree.map(lambda x: x[which], sets))

    def measure(self, probe: Probe, states: RunState, size: int) -> list[PyTree]:
        """Returns what a probe measures in each member, as NumPy arrays.

        Args:
            probe: the probe.
            states: the members' states.
            size: number of examples in each member's probe set.

        Raises:
            UserError: the probe rejects its input.
        """
        answers = {task: _probe_set(task, size)[1] for task in self._distinct}
        measured: dict[int, PyTree] = {}
        for answer in dict.fromkeys(answers.values()):  # a probe's computation may depend on the answer's step
            compiled, sets = self._measurement(probe, size, answer)
            with blame(f"probe {probe.name}"):
                measured[answer] = distributed.fetch(compiled(self._members(states), sets))
        return [jax.tree.map(lambda leaf, i=i: leaf[i], measured[answers[task]]) for i, task in enumerate(self.tasks)]

    def _measurement(self, probe: Probe, size: int, answer: int) -> tuple[Callable, Example]:
        """Returns a probe's compiled function and the probe sets, cached since every evaluation needs them."""
        if (probe, size, answer) not in self._measuring:

            def measure(member: tuple[PyTree, Numbers, Array], sets: Example) -> PyTree:
                params, numbers, which = member
                batch = jax.tree.map(lambda x: x[which], sets)
                return probe.measure(self.builder.model(params, numbers), self._task(numbers), batch, answer)

            sets = self._place([_probe_set(task, size)[0] for task in self._distinct], P(None))
            self._measuring[probe, size, answer] = jax.jit(self._spread(measure, (P(None),), self.state_spec)), sets
        return self._measuring[probe, size, answer]


def _folded(configs: Sequence[Config]) -> list[str]:
    """Returns the keys, apart from the seed, in which configs differ.

    Raises:
        ValueError: they differ in something that cannot be folded.
    """
    first, *others = [flatten(identity(config)) for config in configs]
    differing = sorted({key for other in others for key in {*first, *other} if first.get(key) != other.get(key)})
    if wrong := [key for key in differing if key not in foldable(configs[0])]:
        raise ValueError(f"the members of a population cannot differ in {', '.join(wrong)}")
    return [key for key in differing if key != "seed"]


class _Shared:
    """Configs that compare equal if they share a compiled program."""

    def __init__(self, configs: Sequence[Config]):
        self.configs = configs
        folded = _folded(configs)
        shared = flatten(compiled(configs[0]))
        values = {key: value for key, value in shared.items() if key not in (*folded, "seed")}
        self.key = json.dumps([values, folded, [config.task for config in configs]], sort_keys=True)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)


@functools.lru_cache(maxsize=2)
def _program(shared: _Shared, devices: tuple[jax.Device, ...]) -> Program:
    return Program(shared.configs, devices)


def program(configs: Sequence[Config], devices: Sequence[jax.Device] | None = None) -> Program:
    """Returns the program of a population, compiled once for all runs that differ only in foldable numbers."""
    return _program(_Shared(configs), tuple(devices or jax.devices()))
