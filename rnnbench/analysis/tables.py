"""Reads records into tidy pandas tables: `load_runs` returns one row per run, and the others join on `run_id`.

Every function takes a job folder, or any folder above several, and imports no JAX. Files that are damaged or missing
are left out and named on stderr. The order of rows does not depend on how the runs were grouped into jobs. A run that
was recorded twice (alone and in a population, say) is read once, from the job that got furthest.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence, Sized
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from rnnbench.errors import DamagedError, UserError
from rnnbench.records.damage import tell
from rnnbench.records.folders import job_folders
from rnnbench.records.lengths import as_of
from rnnbench.records.reader import listed, missing_files, read_table, runs_batches
from rnnbench.records.reader import table_names as job_tables
from rnnbench.records.schemas import FOUND, RUNS_SCHEMA, SCHEMAS, runs_as_table, table_schema

__all__ = ["load_metrics", "load_runs", "load_scores", "load_showcase", "load_table", "table_names"]


def load_runs(path: str | Path) -> pd.DataFrame:
    """Returns one row per run.

    Columns: run_id, status ("running", even if it was killed; "finished"; "diverged"), step (training steps recorded),
    solved_at and diverged_at (steps, or missing), score (the metric by which runs of its task are compared), score_goal
    ("max" or "min"), the configuration in dotted columns (model.name, task.length, seed, ...), size.parameters and
    size.state_size (how many the whole model has, and how many numbers a step gives to the next), final.<metric> of the
    last evaluation, chance.<metric> of the task, and folder. model.hidden_size is the width that was trained, also
    if it was found from model.parameters. A value is missing if a run does not have that key.

    Raises:
        UserError: there is no such path, or it has no records, or none that can be read.
    """
    return _frame(_jobs(Path(path)))


def load_runs_as_of(path: str | Path, steps: Mapping[str, int]) -> pd.DataFrame:
    """Returns the rows of `load_runs` as they were when the runs had been trained for so many steps, by run id.

    Runs that are not in `steps` are left out.

    Raises:
        UserError: see `load_runs`; or the records of a run do not reach back to its step.
    """
    found = []
    for job in _jobs(Path(path)):
        rows = [row for row in job.runs.to_pylist() if row["run_id"] in steps]
        for own in {steps[row["run_id"]] for row in rows}:
            earlier = runs_as_table(as_of(job.folder, [row for row in rows if steps[row["run_id"]] == own], own))
            found.append(_Job(job.folder, earlier, 0, earlier.num_rows, partly=True))
    return _frame(found)


def _frame(jobs: Sequence["_Job"]) -> pd.DataFrame:
    alike: dict[int, list[_Job]] = {}
    for job in jobs:
        alike.setdefault(id(job.table), []).append(job)
    table = _concatenated([own[0].table for own in alike.values()])
    folders = [str(job.folder) for own in alike.values() for job in own for _ in range(job.length)]
    table = table.append_column("folder", pa.array(folders))
    # First the fixed columns, then configuration, results and folder, each in the order of the runs.
    last = [name for name in table.schema.names if name.startswith(FOUND)] + ["folder"]
    names = RUNS_SCHEMA.names + [name for name in table.schema.names if name not in {*RUNS_SCHEMA.names, *last}] + last
    frame = pd.DataFrame({name: _series(table[name]) for name in names})
    keys = [key for key in ("task.name", "model.name", "seed", "run_id") if key in frame]
    return frame.sort_values(keys, kind="stable", ignore_index=True)


def load_metrics(path: str | Path) -> pd.DataFrame:
    """Returns what was logged: run_id, step, split ("train", "test" or "probe"), metric, value."""
    return load_table(path, "metrics")


def load_scores(path: str | Path) -> pd.DataFrame:
    """Returns test scores, broken down: run_id, step, metric, by, low and high (inclusive), value, count."""
    return load_table(path, "scores")


def load_showcase(path: str | Path) -> pd.DataFrame:
    """Returns how models complete a task's sentences: run_id, step, prompt, continuation, probability, correct."""
    return load_table(path, "showcase")


class _Job(NamedTuple):
    folder: Path
    table: pa.Table  # the rows of all jobs whose runs tables have the same schema
    start: int  # the first row that is read from this job
    length: int  # how many rows are read from this job
    partly: bool  # whether some of its runs are read from another job

    @property
    def runs(self) -> pa.Table:
        """The runs that are read from this job."""
        return self.table.slice(self.start, self.length)


def table_names(path: str | Path) -> list[str]:
    """Returns the names of the tables that were recorded, for `load_table`; also of those whose files are missing."""
    names: set[str] = set()
    for job in _jobs(Path(path)):
        names.update(job_tables(job.folder))
        names.update(file.partition("/")[0].removesuffix(".parquet") for file in listed(job.table.schema))
    return sorted(names)


def load_table(path: str | Path, name: str) -> pd.DataFrame:
    """Returns a recorded table by name: metrics, scores, showcase, or a table that a probe fills.

    The probe declares and describes the columns of its tables: gradient_flow in `rnnbench.probes.gradient_flow`,
    gate_traces in `gate_traces`, gates and retention in `gates`, spectra in `jacobians`, memory in `memory`. An empty
    table of a probe has only the columns run_id and step.

    Raises:
        UserError: there is no such path, or it has no records, or none that can be read.
    """
    tables, errors = [], []
    for job in _jobs(Path(path)):
        try:
            _check_presence(job, name)
            table = read_table(job.folder, name)
        except UserError as error:
            errors.append(error)
            continue
        if job.partly:
            table = table.filter(pc.is_in(table["run_id"], job.runs["run_id"]))
        if table.num_rows:
            tables.append(table)
    _name_unread(errors, tables)
    table = pa.concat_tables(tables) if tables else SCHEMAS.get(name, table_schema({})).empty_table()
    # A stable sort by run and step, as codes of the few distinct runs: far faster than by their names.
    encoded = table["run_id"].combine_chunks().dictionary_encode()
    rank = np.argsort(np.argsort(encoded.dictionary.to_numpy(zero_copy_only=False).astype(str)))
    order = np.lexsort((table["step"].to_numpy(), rank[encoded.indices.to_numpy()]))
    if np.any(order[1:] < order[:-1]):
        table = table.take(order)
    return table.to_pandas()


def _jobs(path: Path) -> list[_Job]:
    """Returns the jobs under `path` that have runs, in the order of their paths. Each run is in one of them."""
    folders, errors = [*job_folders(path)], []
    # By schema, so that the rows of all jobs are few tables: there may be very many jobs.
    batches: dict[int, tuple[pa.Schema, list[pa.RecordBatch], list[int]]] = {}
    for index, folder in enumerate(folders):  # one by one: threads would only contend for the interpreter
        try:
            schema, own = runs_batches(folder)
        except UserError as error:
            errors.append(error)
            continue
        _, alike, of_row = batches.setdefault(id(schema), (schema, [], []))
        alike += own
        of_row += [index] * sum(batch.num_rows for batch in own)
    tables = [(pa.Table.from_batches(alike, schema).combine_chunks(), rows) for schema, alike, rows in batches.values()]
    furthest: dict[str, tuple[bool, int, int]] = {}  # by run: whether it is done, its step, its (first) job
    for table, of_row in tables:
        for run, status, step, index in zip(*_columns(table, "run_id", "status", "step"), of_row, strict=True):
            reached = (status != "running", step, -index)
            furthest[run] = max(reached, furthest.get(run, reached))
    _name_unread(errors, furthest)
    if not furthest:
        raise UserError(f"{path}: no records of rnnbench in it or below it" + (" yet" if folders else ""))
    jobs = {}
    for table, of_row in tables:
        [runs] = _columns(table, "run_id")
        kept = [furthest[run][2] == -index for run, index in zip(runs, of_row, strict=True)]
        own, start = table if all(kept) else table.filter(pa.array(kept)), 0
        rows = Counter(of_row)
        for index, count in Counter(itertools.compress(of_row, kept)).items():
            jobs[index] = _Job(folders[index], own, start, count, partly=count < rows[index])
            start += count
    return [jobs[index] for index in sorted(jobs)]


def _columns(table: pa.Table, *names: str) -> list[list[Any]]:
    return [table[name].to_pylist() for name in names]


def _name_unread(errors: Sequence[UserError], read: Sized) -> None:
    """Names on stderr what could not be read, or raises the first error if nothing was read."""
    if errors and not read:
        raise errors[0]
    for error in errors:
        tell(f"left out: {error}")


def _check_presence(job: _Job, name: str) -> None:
    """Raises an error if a job has recorded a table, and a file of it is gone."""
    if missing_files(job.folder, name, listed(job.table.schema)):
        # Its owner may have resumed since it was listed, and deleted what is trained again.
        now, _ = runs_batches(job.folder)
        for path in missing_files(job.folder, name, listed(now)):
            raise DamagedError(f"{path} is missing; give the command that wrote it again")


def _concatenated(tables: list[pa.Table]) -> pa.Table:
    """Returns one table. Missing columns become null, and columns whose types do not match become text."""
    try:
        return pa.concat_tables(tables, promote_options="permissive")
    except pa.ArrowTypeError:
        kinds: dict[str, set[pa.DataType]] = {}
        for field in (field for table in tables for field in table.schema):
            kinds.setdefault(field.name, set()).add(field.type)
        number = {pa.int64(), pa.float64()}
        text = {name for name, types in kinds.items() if len(types - {pa.null()}) > 1 and types - {pa.null()} != number}
        return pa.concat_tables([_as_text(table, text) for table in tables], promote_options="permissive")


def _as_text(table: pa.Table, names: set[str]) -> pa.Table:
    for index, field in enumerate(table.schema):
        if field.name in names:
            table = table.set_column(index, field.name, table[index].cast(pa.string()))
    return table


def _series(column: pa.ChunkedArray) -> pd.Series:
    """Returns a column with its own type even if some runs lack it: integers stay integers."""
    nullable = {pa.int64(): pd.Int64Dtype(), pa.bool_(): pd.BooleanDtype()} if column.null_count else {}
    return column.to_pandas(types_mapper=nullable.get)
