"""Reads what a job has recorded, at any moment and without its lock."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rnnbench.errors import UserError
from rnnbench.records.files import read_file
from rnnbench.records.parts import part_paths
from rnnbench.records.provenance import read_provenance
from rnnbench.records.schemas import COMPLETE, RUNS_SCHEMA, SCHEMAS


def read_runs(folder: str | Path) -> list[dict[str, Any]]:
    """Returns the rows of a job's runs table, as `Records.set_runs` got them; none where nothing is recorded yet.

    Needs no lock: it tells whether a job is done before anything is set up to train it.
    """
    return runs_table(Path(folder)).to_pylist()


def is_complete(folder: Path, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there is nothing left to train: `rows` is the job's runs table."""
    return all(row["status"] in COMPLETE for row in rows) and (folder / "metrics.parquet").exists()


def runs_table(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """Returns a job's runs table, or `columns` of it; without rows where nothing is recorded yet.

    Raises:
        UserError: the folder holds something else, or the table is broken or lacks a column.
    """
    path = folder / "runs.parquet"
    if read_provenance(folder) is None:
        return RUNS_SCHEMA.empty_table()
    try:
        table = read_file(path, columns=columns)
    except FileNotFoundError:
        return RUNS_SCHEMA.empty_table()
    if missing := [name for name in columns or RUNS_SCHEMA.names if name not in table.schema.names]:
        raise UserError(f"{path} is no runs table of rnnbench: it has no column {missing[0]!r}")
    return table


def read_table(folder: Path, name: str) -> pa.Table:
    """Returns all rows that a job has recorded for the table `name` of `SCHEMAS`, in the order they were written.

    Raises:
        UserError: a file of the table is broken, or is no file of rnnbench.
    """
    schema = SCHEMAS[name]
    for attempt in range(3):
        try:
            try:
                return read_file(folder / f"{name}.parquet", schema)
            except FileNotFoundError:
                tables = [read_file(part, schema) for part in part_paths(folder, name)]
                return pa.concat_tables(tables) if tables else schema.empty_table()
        except FileNotFoundError:  # its owner merged the parts while we read: the merged file is there now
            if attempt == 2:
                raise
    raise AssertionError("unreachable")
