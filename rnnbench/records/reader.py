"""Reads what a job has recorded, at any moment and without its lock."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from rnnbench.errors import UserError
from rnnbench.records.files import read_file
from rnnbench.records.provenance import read_provenance
from rnnbench.records.schemas import COMPLETE, RUNS_SCHEMA, SCHEMAS, table_schema

PROBED = "probes"
"""Subfolder of what `rnnbench probe` measured: where training resumes, it is dropped."""

_PART = re.compile(r"\d{8,}\.parquet")


def read_runs(folder: str | Path) -> list[dict[str, Any]]:
    """The rows of a job folder's runs table, as `Records.set_runs` got them; empty where there are none yet.

    Needs no lock: it tells whether a job is done before anything is set up to train it.
    """
    return runs_table(Path(folder)).to_pylist()


def is_complete(folder: Path, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a job has these rows of the runs table because there is nothing left to train."""
    return all(row["status"] in COMPLETE for row in rows) and (folder / "metrics.parquet").exists()


def runs_table(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """A job's runs table, or `columns` of it; without rows where there is none yet."""
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
    unfinished = [path.parent.name for path in folder.glob("*/*.parquet") if _PART.fullmatch(path.name)]
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
            tables = [read_file(part, schema) for part in parts(folder, name)]
            return pa.concat_tables(tables) if tables else (schema or table_schema({})).empty_table()
        except FileNotFoundError:  # its owner merged the parts while we read: the merged file is there now
            if attempt == 2:
                raise
    raise AssertionError("unreachable")


def parts(folder: Path, name: str) -> list[Path]:
    """The parts of a table in the order of their steps."""
    try:
        paths = [path for path in (folder / name).iterdir() if path.suffix == ".parquet"]
    except FileNotFoundError:
        return []
    except NotADirectoryError as error:
        raise UserError(f"{folder / name} is a file; a job folder has a folder of that name") from error
    for path in paths:
        if not _PART.fullmatch(path.name):
            raise UserError(f"{path} is no file of rnnbench (its parts are named like 00000100.parquet); move it away")
    return sorted(paths, key=lambda path: int(path.stem))
