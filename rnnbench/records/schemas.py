"""The tables of a job: their columns, and how columns become a table."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

FORMAT = "rnnbench"

VERSION = 1

COMPLETE = ("finished", "diverged")
"""Statuses of runs that are not trained any further."""

SCHEMAS: dict[str, pa.Schema] = {
    # What is logged: split is "train" (means since the last row) or "test" (the whole test set).
    "metrics": pa.schema(
        {
            "run_id": pa.string(),
            "step": pa.int64(),
            "split": pa.string(),
            "metric": pa.string(),
            "value": pa.float64(),
        }
    ),
    # The test score's means in the bins low..high (inclusive) of what `by` names, over `count` examples.
    "scores": pa.schema(
        {
            "run_id": pa.string(),
            "step": pa.int64(),
            "metric": pa.string(),
            "by": pa.string(),
            "low": pa.int64(),
            "high": pa.int64(),
            "value": pa.float64(),
            "count": pa.int64(),
        }
    ),
    # ||dL/dh_t|| (state "h") and ||dL/dc_t|| ("c"), for every time step: the mean and quantiles over the probe batch.
    "gradient_flow": pa.schema(
        {
            "run_id": pa.string(),
            "step": pa.int64(),
            "layer": pa.int64(),
            "state": pa.string(),
            "time": pa.int64(),
            "norm": pa.float64(),
            "q10": pa.float64(),
            "q50": pa.float64(),
            "q90": pa.float64(),
        }
    ),
    # A gate's value in every unit, word by word through the task's traced sentences.
    "gate_traces": pa.schema(
        {
            "run_id": pa.string(),
            "step": pa.int64(),
            "sentence": pa.int64(),
            "time": pa.int64(),
            "word": pa.string(),
            "layer": pa.int64(),
            "gate": pa.string(),
            "unit": pa.int64(),
            "value": pa.float32(),
        }
    ),
    # What a gate does in every unit at every time step, over the probe batch: mean, shares of |value| < 0.1 and > 0.9,
    # and for gates between 0 and 1 the time constant 1 / (1 - mean), in steps.
    "gates": pa.schema(
        {
            "run_id": pa.string(),
            "step": pa.int64(),
            "layer": pa.int64(),
            "gate": pa.string(),
            "unit": pa.int64(),
            "time": pa.int64(),
            "mean": pa.float32(),
            "low": pa.float32(),
            "high": pa.float32(),
            "time_constant": pa.float32(),
        }
    ),
    # Of the Jacobian over `lag` steps: kind is "singular_value" (of a state's block, or of all states together),
    # "lyapunov_exponent" (of all states, lag 0) or "spectral_radius" (of a gate's recurrent kernel, whose name is in
    # `state`, lag 0).
    "spectra": pa.schema(
        {
            "run_id": pa.string(),
            "step": pa.int64(),
            "layer": pa.int64(),
            "kind": pa.string(),
            "state": pa.string(),
            "lag": pa.int64(),
            "number": pa.int64(),
            "value": pa.float64(),
        }
    ),
    # How well a linear read-out of h, or of all states together, knows the first input: R^2 on examples left out.
    "memory": pa.schema(
        {
            "run_id": pa.string(),
            "step": pa.int64(),
            "layer": pa.int64(),
            "state": pa.string(),
            "time": pa.int64(),
            "r2": pa.float64(),
        }
    ),
    # How a model completes the task's examples for readers.
    "showcase": pa.schema(
        {
            "run_id": pa.string(),
            "step": pa.int64(),
            "prompt": pa.string(),
            "continuation": pa.string(),
            "probability": pa.float64(),
            "correct": pa.bool_(),
        }
    ),
}
"""Columns of every table, the same for all tasks. A run's rows are told by `run_id`, and joined with the runs by it."""

PROBED = ("gates", "spectra", "memory", "gate_traces")
"""Tables about a model as it was when it was probed: where training resumes, they are dropped."""

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
"""First columns of the runs table; behind them come config, `final.<metric>` and `chance.<metric>`."""


def as_table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """Returns a table of `SCHEMAS` made of its columns: arrays or lists, or a scalar for all rows.

    Raises:
        ValueError: there is no such table, or it has other columns.
    """
    if name not in SCHEMAS:
        raise ValueError(f"no table {name!r}; there are {', '.join(SCHEMAS)}")
    schema = SCHEMAS[name]
    if sorted(columns) != sorted(schema.names):
        raise ValueError(f"{name}: expected the columns {schema.names}, got {list(columns)}")
    arrays = {column: np.asarray(columns[column]) for column in schema.names}
    rows = max((len(array) for array in arrays.values() if array.ndim), default=1)
    filled = [np.broadcast_to(array, rows) if array.ndim == 0 else array for array in arrays.values()]
    return pa.table([pa.array(array, field.type) for array, field in zip(filled, schema, strict=True)], schema=schema)


def runs_as_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Returns the runs table: the columns of `RUNS_SCHEMA`, then every other name that a row has, null elsewhere.

    Raises:
        ValueError: a row lacks a column of `RUNS_SCHEMA`.
    """
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
        elif len(kinds) > 1:  # an axis of the population that is a number here and a word there
            arrays[name] = pa.array([None if value is None else str(value) for value in values])
        else:
            arrays[name] = pa.array(values)
    return pa.table(arrays)
