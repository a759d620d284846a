"""Reads what a job has recorded, at any time and without its lock."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rnnbench.errors import UserError
from rnnbench.records.files import read_file
from rnnbench.records.parts import is_part, part_paths
from rnnbench.records.provenance import read_provenance
from rnnbench.records.schemas import COMPLETE, RUNS_SCHEMA, SCHEMAS, table_schema

PROBED = "probes"
"""Subfolder for the results of `rnnbench probe`. It is deleted when training resumes."""


def read_runs(folder: str | Path) -> list[dict[str, Any]]:
    """Returns the rows of a job's runs table, as given to `Records.set_runs`; none if nothing is recorded yet.

    Needs no lock, so that a job can be checked before anything is set up to train it.
    """
    return runs_table(Path(folder)).to_pylist()


def is_complete(folder: Path, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Returns whether nothing is left to train, from the rows of the job's runs table."""
    return all(row["status"] in COMPLETE for row in rows) and (folder / "metrics.parquet").exists()


def runs_table(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """Returns a job's runs table, or some of its columns; empty if nothing is recorded yet.

    Raises:
        UserError: the folder contains something else, or the table is broken or lacks a column.
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


def table_names(folder: Path) -> list[str]:
    """Returns the names of the tables that a job has recorded, except the runs table."""
    whole = [path.stem for path in (*folder.glob("*.parquet"), *(folder / PROBED).glob("*.parquet"))]
    unfinished = [path.parent.name for path in folder.glob("*/*.parquet") if is_part(path)]
    return sorted({*whole, *unfinished} - {"runs"})


def read_table(folder: Path, name: str) -> pa.Table:
    """Returns all rows that a job has recorded for a table, in the order in which they were written.

    Results of `rnnbench probe` replace those that training recorded under the same name.
    """
    schema = SCHEMAS.get(name)
    for attempt in range(3):
        try:
            for path in (folder / PROBED / f"{name}.parquet", folder / f"{name}.parquet"):
                if path.exists():
                    return read_file(path, schema)
            tables = [read_file(part, schema) for part in part_paths(folder, name)]
            return pa.concat_tables(tables) if tables else (schema or table_schema({})).empty_table()
        except FileNotFoundError:  # the owner merged the parts while we were reading: try the merged file
            if attempt == 2:
                raise
    raise AssertionError("unreachable")
