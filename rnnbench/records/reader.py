"""Reads what a job has recorded, at any moment and without its lock."""

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
"""Subfolder of what `rnnbench probe` measured: where training resumes, it is dropped."""


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


def table_names(folder: Path) -> list[str]:
    """Returns the names of the tables that a job has recorded, but for the runs table."""
    whole = [path.stem for path in (*folder.glob("*.parquet"), *(folder / PROBED).glob("*.parquet"))]
    unfinished = [path.parent.name for path in folder.glob("*/*.parquet") if is_part(path)]
    return sorted({*whole, *unfinished} - {"runs"})


def read_table(folder: Path, name: str) -> pa.Table:
    """Returns all rows that a job has recorded for a table, in the order in which they were written.

    What `rnnbench probe` measured is read in place of what training recorded under the same name.
    """
    schema = SCHEMAS.get(name)
    for attempt in range(3):
        try:
            for path in (folder / PROBED / f"{name}.parquet", folder / f"{name}.parquet"):
                if path.exists():
                    return read_file(path, schema)
            tables = [read_file(part, schema) for part in part_paths(folder, name)]
            return pa.concat_tables(tables) if tables else (schema or table_schema({})).empty_table()
        except FileNotFoundError:  # its owner merged the parts while we read: the merged file is there now
            if attempt == 2:
                raise
    raise AssertionError("unreachable")
