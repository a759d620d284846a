"""Helpers for the tests of several folders: training, a row of the runs table, record tables, a model and a batch."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import jax
import pyarrow as pa
from flax import nnx

from rnnbench.commands import cli
from rnnbench.model import Model
from rnnbench.probes.finding import built_in
from rnnbench.records.schemas import SCHEMAS, make_table, table_schema
from rnnbench.tasks.base import Example, Task

BATCH, HIDDEN = 3, 4


def optax_promotion() -> AbstractContextManager[None]:
    """Returns a context with JAX's default promotion rules, in which tests train.

    optax promotes integers implicitly, which the strict rules of all other tests forbid.
    """
    return jax.numpy_dtype_promotion("standard")


def run_command(arguments: list[str]) -> int:
    """Runs a command line that trains or probes, and returns its exit code."""
    with optax_promotion():
        return cli.main(arguments)


def row(run_id: str = "r", status: str = "running", step: int = 0, **more: Any) -> dict[str, Any]:
    """Returns a row of the runs table: the fixed columns, followed by `more`."""
    base = {"run_id": run_id, "status": status, "step": step, "solved_at": None, "diverged_at": None}
    return {**base, "score": "accuracy", "score_goal": "max", **more}


def build(make_cell: Callable[..., Any], task: Task, **options: Any) -> Model:
    """Returns a model with `HIDDEN` units in each layer."""
    return Model(make_cell, task, hidden_size=HIDDEN, rngs=nnx.Rngs(2), **options)


def batch_of(task: Task) -> Example:
    """Returns `BATCH` examples of a task."""
    return jax.vmap(task.example)(jax.random.split(jax.random.key(1), BATCH))


def table_of(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """Returns a record table. Each column is an array, a list, or one scalar for all rows."""
    probed = {name: table_schema(own) for probe in built_in().values() for name, own in probe.tables.items()}
    return make_table((SCHEMAS | probed)[name], [columns])


def tables_of(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, pa.Table]:
    """Returns record tables by name."""
    return {name: table_of(name, own) for name, own in columns.items()}
