"""What a probe is: a measurement of a model, the tables that it fills, and the functions that draw them."""

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
"""Part of a table: an array for each column, or a scalar that all rows of the part share."""


class Probe(abc.ABC):
    """Base class of all probes. One file declares everything about a probe; its figure may be in a second one.

    A probe can run at every evaluation (`probe.at_evaluation`), at the end of training (`probe.at_end`), or on a
    checkpoint (`rnnbench probe RUN`). In all cases the same two methods are called: `measure`, compiled, on the
    device, for every member of a population, and then `rows`, on the host.

    Attributes:
        name: what the probe is called in configurations and on the command line.
        tables: the columns of each table that it fills, besides `run_id` and `step`, which rnnbench adds.
        figures: for each table, the dotted names of the functions that draw it, each `(table, runs) -> Figure`. A
            function that also takes a `run_id` draws a single run, and is called for one run of each cell.
        headlines: the meaning of each number that `headline` returns, by the number's name.
    """

    name: ClassVar[str]
    tables: ClassVar[Mapping[str, Mapping[str, pa.DataType]]]
    figures: ClassVar[Mapping[str, Sequence[str]]] = {}
    headlines: ClassVar[Mapping[str, str]] = {}

    @abc.abstractmethod
    def measure(self, model: Model, task: Task, batch: Example, answer: int) -> PyTree:
        """Measures one model. This must be a pure function: JAX compiles it.

        Args:
            model: the model with its parameters.
            task: the model's task.
            batch: examples of the task's probe set.
            answer: number of steps up to the last one whose output `task.probe_loss` depends on.

        Returns:
            A pytree of arrays.
        """

    @abc.abstractmethod
    def rows(self, measured: PyTree, model: Model, task: Task) -> Mapping[str, Sequence[Columns]]:
        """Returns what was measured as rows, in parts of the tables in `tables` (or of `metrics`).

        Args:
            measured: what `measure` returned, as NumPy arrays.
            model: the model's structure: its arrays have only shapes and types.
            task: the model's task.
        """

    def headline(self, measured: PyTree, model: Model) -> dict[str, float]:
        """Returns the few numbers that describe the model, by their names in `headlines`; none by default.

        They are recorded in `metrics`, in the split "probe", and shown in the terminal.
        """
        del measured, model
        return {}


def answer_step(task: Task, batch: Example) -> int:
    """Returns the number of steps up to the last one whose output the task's `probe_loss` depends on."""
    mask = np.asarray(batch.mask)
    last = int(mask.sum(axis=1).max())
    if task.last_step_only:
        return last
    outputs = jax.random.normal(jax.random.key(0), (len(mask), *task.output_shape(mask.shape[1])))
    slopes = jax.jit(jax.vmap(jax.grad(task.probe_loss)))(outputs, jax.tree.map(jnp.asarray, batch))
    reached = np.flatnonzero(np.any(np.moveaxis(np.asarray(slopes), 1, 0).reshape(mask.shape[1], -1) != 0, axis=1))
    return int(reached.max()) + 1 if reached.size else last
