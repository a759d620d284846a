"""The tables of a job: their columns, and how to build them."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

FORMAT = "rnnbench"

VERSION = 1

COMPLETE = ("finished", "diverged")
"""Statuses of runs that are no longer trained."""


def table_schema(columns: Mapping[str, pa.DataType]) -> pa.Schema:
    """Returns the schema of a table: run id, training step, and these columns."""
    return pa.schema({"run_id": pa.string(), "step": pa.int64(), **columns})


SCHEMAS: dict[str, pa.Schema] = {
    # Logged numbers. The split is "train" (means since the last row), "test" (the whole test set) or "probe" (numbers
    # of a probe).
    "metrics": table_schema({"split": pa.string(), "metric": pa.string(), "value": pa.float64()}),
    # Mean test scores over the `count` examples whose breakdown `by` has a value in low..high (inclusive).
    "scores": table_schema(
        {
            "metric": pa.string(),
            "by": pa.string(),
            "low": pa.int64(),
            "high": pa.int64(),
            "value": pa.float64(),
            "count": pa.int64(),
        }
    ),
    # How a model completes the task's sentences.
    "showcase": table_schema(
        {"prompt": pa.string(), "continuation": pa.string(), "probability": pa.float64(), "correct": pa.bool_()}
    ),
}
"""Tables that training always fills. Probes declare their own tables (`rnnbench.probes.Probe.tables`)."""

RUNS_SCHEMA = pa.schema(
    {
        "run_id": pa.string(),
        "status": pa.string(),  # running, finished or diverged
        "step": pa.int64(),
        "solved_at": pa.int64(),  # step, or null
        "diverged_at": pa.int64(),  # step, or null
        "score": pa.string(),  # the metric by which runs are compared
        "score_goal": pa.string(),  # max or min
    }
)
"""First columns of the runs table, followed by the configuration and the columns that begin as in `FOUND`."""

FOUND = ("size.", "chance.", "final.")
"""How the names of columns begin that are no part of the configuration: sizes, chance levels and last scores."""


def make_table(schema: pa.Schema, parts: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Returns a table that concatenates parts.

    Args:
        schema: the columns of the table.
        parts: an array or list for each column, or a scalar that all rows of the part share.

    Raises:
        ValueError: the columns of a part are not those of the schema.
    """
    tables = []
    for part in parts:
        if sorted(part) != sorted(schema.names):
            raise ValueError(f"expected the columns {schema.names}, got {list(part)}")
        arrays = {name: np.asarray(part[name]) for name in schema.names}
        rows = max((len(array) for array in arrays.values() if array.ndim), default=1)
        filled = [np.broadcast_to(array, rows) if array.ndim == 0 else array for array in arrays.values()]
        columns = [pa.array(array, field.type) for array, field in zip(filled, schema, strict=True)]
        tables.append(pa.table(columns, schema=schema))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def runs_as_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Returns the runs table: one row per run, with columns in the order in which the rows have them."""
    names = dict.fromkeys([*RUNS_SCHEMA.names, *(name for row in rows for name in row)])
    missing = [name for name in RUNS_SCHEMA.names for row in rows if name not in row]
    if missing:
        raise ValueError(f"runs: expected a column {missing[0]!r} in every row")
    arrays = {}
    for name in names:
        values = [row.get(name) for row in rows]
        values = [value.item() if isinstance(value, np.generic) else value for value in values]
        kinds = {type(value) for value in values if value is not None}
        if name in RUNS_SCHEMA.names:
            arrays[name] = pa.array(values, RUNS_SCHEMA.field(name).type)
        elif kinds == {int, float}:
            arrays[name] = pa.array(values, pa.float64())
        elif len(kinds) > 1:  # an axis with both numbers and words
            arrays[name] = pa.array([None if value is None else str(value) for value in values])
        else:
            arrays[name] = pa.array(values)
    return pa.table(arrays)
