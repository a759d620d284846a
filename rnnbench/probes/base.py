"""What a probe is: a measurement of a model, the tables that it fills, and what draws them."""

import abc
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from jaxtyping import PyTree

from rnnbench.model import Model
from rnnbench.tasks.base import Example, Task

Columns = Mapping[str, Any]
"""Part of a table: for each column an array, or a scalar for all rows of the part."""


class Probe(abc.ABC):
    """Base of all probes. One file declares everything about a probe; a second one may hold its figure.

    A probe can run at every evaluation (`probe.at_evaluation`), at the end of training (`probe.at_end`), or on a
    checkpoint (`rnnbench probe RUN`). Either way the same two methods are called: `measure`, compiled, on the device,
    for every member of a population, and then `rows`, on the host.

    Attributes:
        name: how the probe is called in configurations and on the command line.
        tables: the columns of each table that it fills, besides `run_id` and `step`, which rnnbench adds.
        figures: for each table the dotted names of the functions that draw it, each `(table, runs) -> Figure`. One
            that takes a `run_id`, too, draws a single run, and is called for one run of each cell.
        headlines: numbers that a terminal shows, by name, and what each of them means.
    """

    name: ClassVar[str]
    tables: ClassVar[Mapping[str, Mapping[str, pa.DataType]]]
    figures: ClassVar[Mapping[str, Sequence[str]]] = {}
    headlines: ClassVar[Mapping[str, str]] = {}

    @abc.abstractmethod
    def measure(self, model: Model, task: Task, batch: Example, answer: int) -> PyTree:
        """Measures one model; a pure function that JAX compiles.

        Args:
            model: the model with its parameters.
            task: the model's task.
            batch: examples of the task's probe set.
            answer: number of steps up to the one whose output `task.probe_loss` depends on.

        Returns:
            Arrays in any pytree.
        """

    @abc.abstractmethod
    def rows(self, measured: PyTree, model: Model, task: Task) -> Mapping[str, Sequence[Columns]]:
        """Turns what was measured into rows, as parts of the tables in `tables` (or of `metrics`).

        Args:
            measured: what `measure` returned, as NumPy arrays.
            model: the model's structure: its arrays have shapes and types alone.
            task: the model's task.
        """

    def headline(self, measured: PyTree, model: Model) -> dict[str, float]:
        """Returns the numbers that a terminal shows, by the names in `headlines`; by default none."""
        del measured, model
        return {}


def answer_step(task: Task, batch: Example) -> int:
    """Returns the number of steps up to the last one whose output the task's `probe_loss` depends on."""
    mask = np.asarray(batch.mask)
    last = int(mask.sum(axis=1).max())
    if task.last_step_only:
        return last
    outputs = jax.random.normal(jax.random.key(0), (*mask.shape, task.out_features))
    slopes = jax.jit(jax.vmap(jax.grad(task.probe_loss)))(outputs, jax.tree.map(jnp.asarray, batch))
    reached = np.flatnonzero(np.any(np.asarray(slopes) != 0, axis=(0, 2)))
    return int(reached.max()) + 1 if reached.size else last
