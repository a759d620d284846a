"""What tests of several folders need: a row of the runs table, record tables, a small model, and a batch."""

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
    """Returns a row of the runs table: its fixed columns, then `more`."""
    base = {"run_id": run_id, "status": status, "step": step, "solved_at": None, "diverged_at": None}
    return {**base, "score": "accuracy", "score_goal": "max", **more}


def build(make_cell: Callable[..., Any], task: Task, **options: Any) -> Model:
    """Returns a model of `HIDDEN` units a layer."""
    return Model(make_cell, task, hidden_size=HIDDEN, rngs=nnx.Rngs(2), **options)


def batch_of(task: Task) -> Example:
    """Returns `BATCH` examples of a task."""
    return jax.vmap(task.example)(jax.random.split(jax.random.key(1), BATCH))


def table_of(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """A record table from its columns: arrays or lists, or a scalar for all rows."""
    probed = {name: table_schema(own) for probe in built_in().values() for name, own in probe.tables.items()}
    return make_table((SCHEMAS | probed)[name], [columns])


def tables_of(columns: Mapping[str, Mapping[str, Any]]) -> dict[str, pa.Table]:
    """Record tables by their names."""
    return {name: table_of(name, own) for name, own in columns.items()}
