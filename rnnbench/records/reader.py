"""Reads what a job has recorded, at any time and without its lock."""

import contextlib
import os
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa

from rnnbench.errors import DamagedError, UserError
from rnnbench.records.damage import tell
from rnnbench.records.files import read_batches, read_file, read_whole
from rnnbench.records.folders import RUNS
from rnnbench.records.parts import Part, as_part, parts_of
from rnnbench.records.provenance import check_version, new_provenance, read_provenance
from rnnbench.records.schemas import COMPLETE, RUNS_SCHEMA, SCHEMAS, table_schema
from rnnbench.records.seals import is_whole_folder

PROBED = "probes"
"""Subfolder for the results of `rnnbench probe`. It is deleted when training resumes."""

ATTEMPTS = 100
"""How often a table is looked for while its owner merges its parts."""


def read_runs(folder: str | Path) -> list[dict[str, Any]]:
    """Returns the rows of a job's runs table, as given to `Records.set_runs`; none if nothing is recorded yet.

    Needs no lock, so that a job can be checked before anything is set up to train it.
    """
    return runs_table(Path(folder)).to_pylist()


def is_complete(folder: Path, runs: pa.Table) -> bool:
    """Returns whether nothing is left to train, from the job's runs table.

    A job whose files are damaged or missing is not complete. They are then named on stderr.
    """
    if not runs.num_rows or not {*runs["status"].to_pylist()} <= {*COMPLETE}:
        return False
    files = listed(runs.schema)
    for name in (found := _lost(folder, files)):
        tell(f"{folder / name} is damaged or missing; the command that trained it trains what is lost again")
    return not found and not any(map(as_part, files))


def listed(runs: pa.Schema) -> list[str]:
    """Returns the files of tables that a job had recorded when it wrote its runs table, which has this schema."""
    return (runs.metadata or {}).get(b"files", b"").decode().split()


def rows_at_end(folder: Path) -> dict[str, int]:
    """Returns how many of a table's last rows were recorded only because training ended, by table."""
    with contextlib.suppress(FileNotFoundError, DamagedError, ValueError):
        metadata = read_batches(folder / RUNS, _check_runs)[0].metadata or {}
        rows = [line.split() for line in metadata.get(b"at_end", b"").decode().splitlines()]
        return {name: int(number) for name, number in rows}
    return {}


def lost(folder: Path) -> dict[str, int | None]:
    """Returns which of a job's files are damaged or missing, and the first step of what each held.

    The step is None for files that are written again whenever training resumes.
    """
    try:
        files = listed(read_batches(folder / RUNS, _check_runs)[0])
    except (FileNotFoundError, DamagedError):
        files = None
    return _lost(folder, files)


def _lost(folder: Path, files: Sequence[str] | None) -> dict[str, int | None]:
    found: dict[str, int | None] = {
        name: None for name in ("provenance.json", "config.yaml") if not is_undamaged(f"{folder}/{name}")
    }
    if files is None:
        return found | {RUNS: 0}
    for name in dict.fromkeys(_merged_into(folder, name) for name in files):
        if not is_undamaged(f"{folder}/{name}"):
            part = as_part(name)
            found[name] = part.first if part else 0
    for path in sorted((folder / "checkpoints").glob("*")) if os.path.exists(f"{folder}/checkpoints") else ():
        if path.name.isdecimal() and not is_whole_folder(path) and path.exists():
            found[f"checkpoints/{path.name}"] = None
    return found


def missing_files(folder: Path, table: str, files: Sequence[str]) -> list[Path]:
    """Returns which of the listed files of a table are gone, and not merged into another one."""
    own = [name for name in files if name == f"{table}.parquet" or PurePath(name).parent.name == table]
    merged = dict.fromkeys(_merged_into(folder, name) for name in own)
    return [folder / name for name in merged if not (folder / name).exists()]


def _merged_into(folder: Path, name: str) -> str:
    """Returns the file that has the rows of a listed one, which may have been merged since it was listed."""
    part = as_part(name)
    if part is None:
        return name
    whole = f"{part.table}.parquet"
    if (folder / whole).exists():
        return whole
    return next((own for own in parts_of(folder, part.table) if own.covers(part)), part).name


def is_undamaged(path: Path | str) -> bool:
    """Returns whether a file is there, and as rnnbench wrote it."""
    try:
        read_whole(path)
    except (FileNotFoundError, DamagedError):
        return False
    return True


def runs_table(folder: Path, columns: list[str] | None = None) -> pa.Table:
    """Returns a job's runs table, or some of its columns; empty if nothing is recorded yet.

    Raises:
        UserError: the folder contains something else, or the table is damaged or lacks a column.
    """
    schema, batches = runs_batches(folder)
    if columns is not None and batches:
        if missing := [name for name in columns if schema.get_field_index(name) < 0]:
            raise DamagedError(f"{folder / RUNS} is no file of rnnbench: it has no column {missing[0]!r}")
        batches = [batch.select(columns) for batch in batches]
    return pa.Table.from_batches(batches, None if batches else schema)


def runs_batches(folder: Path) -> tuple[pa.Schema, list[pa.RecordBatch]]:
    """Returns the schema of a job's runs table, an object that equal ones share, and its rows. Otherwise `runs_table`.

    Of very many jobs, their rows are read far faster than as a table for each job.
    """
    try:
        schema, batches = read_batches(f"{folder}/{RUNS}", _check_runs)  # a Path is slow for very many
    except (FileNotFoundError, NotADirectoryError):
        found = read_provenance(folder)  # names what is wrong with the folder, if anything is
        if found is not None and any(session["to_step"] for session in found["sessions"]):
            raise DamagedError(f"{folder / RUNS} is missing; give the command that wrote it again") from None
        return RUNS_SCHEMA, []
    version = (schema.metadata or {}).get(b"version", b"unknown").decode()
    check_version(folder, int(version) if version.isdecimal() else version)
    return schema, batches


def _check_runs(schema: pa.Schema) -> None:
    """Raises a ValueError if these are not the columns of a runs table."""
    for declared in RUNS_SCHEMA:
        if (index := schema.get_field_index(declared.name)) < 0:
            raise ValueError(f"it has no column {declared.name!r}")
        if (found := schema.field(index).type) != declared.type:
            raise ValueError(f"expected {declared.type} in the column {declared.name!r}, got {found}")


def known_provenance(folder: Path) -> dict[str, Any]:
    """Returns the provenance of a job that has other records: without sessions if it is damaged or missing.

    That is then said on stderr.

    Raises:
        UserError: the records are of another version.
    """
    found, said = None, f"{folder / 'provenance.json'} is missing"
    try:
        found = read_provenance(folder)
    except DamagedError as error:
        said = str(error)
    if found is None:
        tell(f"{said}; what the job ran on is not known any more")
        found = new_provenance()
    return found


def table_names(folder: Path) -> list[str]:
    """Returns the names of the tables that a job has recorded, except the runs table."""
    whole = [path.stem for path in (*folder.glob("*.parquet"), *(folder / PROBED).glob("*.parquet"))]
    unfinished = [path.parent.name for path in folder.glob("*/*.parquet") if as_part(f"{path.parent.name}/{path.name}")]
    return sorted({*whole, *unfinished})


def read_table(folder: Path, name: str, through: int | None = None) -> pa.Table:
    """Returns the rows that a job has recorded for a table, in the order in which they were written.

    Results of `rnnbench probe` replace those that training recorded under the same name.

    Args:
        folder: the job's folder.
        name: the table's name.
        through: parts of the table that only have later steps are not read, and may be damaged; None reads all.
    """
    schema = SCHEMAS.get(name)
    known: dict[Part, pa.Table] = {}
    for _ in range(ATTEMPTS):
        with contextlib.suppress(FileNotFoundError):  # the owner has merged a part since it was listed
            parts = parts_of(folder, name)
            for path in (folder / PROBED / f"{name}.parquet", folder / f"{name}.parquet"):
                if path.exists():
                    return read_file(path, schema)
            wanted = [part for part in parts if through is None or part.first <= through]
            known |= {part: read_file(folder / part.name, schema) for part in wanted if part not in known}
            # What is listed while the owner merges may be neither all parts before nor all parts after.
            if parts == parts_of(folder, name):
                tables = [known[part] for part in wanted]
                return pa.concat_tables(tables) if tables else (schema or table_schema({})).empty_table()
    raise UserError(f"{folder / name}: its files change faster than they are read; try again")
