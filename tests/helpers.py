"""Helpers for the tests of several folders: a row of the runs table, record tables, a small model and a batch."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import pyarrow as pa
from flax import nnx

from rnnbench.model import Model
from rnnbench.probes.finding import built_in
from rnnbench.records.schemas import SCHEMAS, make_table, table_schema
from rnnbench.tasks.base import Example, Task

BATCH, HIDDEN = 3, 4


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
