"""Helpers for the tests of several folders: training, rows of the runs table, records, a model and a batch."""

import dataclasses
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import jax
import pyarrow as pa
from flax import nnx

from rnnbench.commands import cli
from rnnbench.config.schema import Config
from rnnbench.model import Model
from rnnbench.probes.finding import built_in
from rnnbench.records.schemas import SCHEMAS, make_table, table_schema
from rnnbench.records.writer import Records
from rnnbench.tasks.base import Example, Task

BATCH, HIDDEN = 3, 4
USUAL = {
    "metrics": {"split": "test", "metric": "accuracy"},
    "scores": {"metric": "accuracy", "by": "distance", "low": [1, 3], "high": [2, 4], "count": 8},
    "gradient_flow": {"layer": 0, "state": "h", "q10": 1.0, "q50": 1.0, "q90": 1.0},
    "gate_traces": {"sentence": 0, "layer": 0},
    "showcase": {"correct": [False, True]},
}
"""Columns that `record_job` adds to a table that lacks them."""


def load_script(path: Path) -> ModuleType:
    """Returns a script of a study as a module, which may have the name of another study's script."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def optax_promotion() -> AbstractContextManager[None]:
    """Returns a context with JAX's default promotion rules, in which tests train.

    optax promotes integers implicitly, which the strict rules of all other tests forbid.
    """
    return jax.numpy_dtype_promotion("standard")


def run_command(arguments: list[str]) -> int:
    """Runs a command line that trains or probes, and returns its exit code."""
    with optax_promotion():
        return cli.main(arguments)


def run_sweep(overrides: list[str], output: Path, *axes: str) -> int:
    """Runs a command line that trains a sweep into a folder, and returns its exit code."""
    return run_command(["-m", *overrides, f"output={output}", *axes])


def with_distance(config: Config, distance: int) -> Config:
    """Returns a configuration with another task: sentence completion at one distance, a number that folds."""
    target = "rnnbench.tasks.SentenceCompletion"
    task = {"name": "sentence_completion", "_target_": target, "max_distance": 8, "distance": distance}
    return dataclasses.replace(config, task=task)


def row(run_id: str = "r", status: str = "running", step: int = 0, **more: Any) -> dict[str, Any]:
    """Returns a row of the runs table: the fixed columns, followed by `more`."""
    base = {"run_id": run_id, "status": status, "step": step, "solved_at": None, "diverged_at": None}
    return {**base, "score": "accuracy", "score_goal": "max", **more}


def run_row(
    model: str, seed: int, result: float, status: str = "finished", score: str = "accuracy", **more: Any
) -> dict[str, Any]:
    """Returns a row of the runs table: a run that has stopped at step 40 of 100 with this result."""
    config = {"task.name": "copy_memory", "model.name": model, "seed": seed, "train.steps": 100}
    diverged_at = 40 if status == "diverged" else None
    results = {f"final.{score}": result, f"chance.{score}": 0.25}
    return row(f"{model}{seed}", status, 40, diverged_at=diverged_at, score=score) | config | results | more


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


def record_job(
    folder: Path,
    rows: Sequence[Mapping[str, Any]],
    segments: Mapping[int, Mapping[str, Mapping[str, Any]]],
    finish: bool = False,
) -> None:
    """Records a job with these rows of the runs table.

    Args:
        folder: the folder of the job.
        rows: a row for each run.
        segments: the last step of each segment, and its tables by name. By default, a table's rows are those of the
            job's runs at that step. What else a table lacks is taken from `USUAL`.
        finish: whether to record that the job is done.
    """
    run_ids = [run["run_id"] for run in rows]
    usual = {"run_id": run_ids[0] if len(run_ids) == 1 else run_ids}
    with Records(folder, {}) as owner:
        owner.start_session(0)
        for step, tables in segments.items():
            at = {**usual, "step": step}
            owner.write(step, tables_of({name: {**at, **USUAL[name], **own} for name, own in tables.items()}))
            owner.set_runs(rows)
        if finish:
            owner.finish(rows)
