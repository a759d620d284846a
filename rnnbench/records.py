"""What a job leaves on disk: one folder, owned by one process at a time, readable at any moment.

::

    adding-gru-1f0c.../
        config.yaml         the job's resolved config
        provenance.json     format, version, and what every session ran on and from where to where it trained
        runs.parquet        one row a run: run_id, status, step, score, config (dotted), final and chance levels
        metrics/00000100.parquet  ...   parts while it trains, merged into metrics.parquet when it is finished
        scores/  gradient_flow/  showcase/  gate_traces/    likewise
        gates.parquet  spectra.parquet  memory.parquet      what `rnnbench probe` measured
        checkpoints/        not this module's
        lock                held (flock) by the process that trains

Every file is written beside its place, synced and renamed, so that a reader sees it whole or not at all, and
no file but `provenance.json` depends on the clock: a resumed job leaves the bytes of an undisturbed one.
"""

import contextlib
import errno
import hashlib
import io
import json
import os
import platform
import re
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from rnnbench.errors import BusyError, UserError

FORMAT = "rnnbench"
COMPLETE = ("finished", "diverged")
"""Statuses of runs that are not trained any further."""
VERSION = 1

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
"""Tables about a model as it was when it was probed: where training goes on, they are dropped."""

_LATER = ("q10", "q50", "q90")
"""Columns of later versions: null in records from before."""

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

_PART = re.compile(r"\d{8,}\.parquet")
_PACKAGES = ("rnnbench", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy")


def job_folder(output: str | Path, task: str, model: str, run_ids: Sequence[str]) -> Path:
    """The folder of the job that trains these runs: `<output>/<task>-<model>-<job id>`.

    The job id of a population of one is its run id, otherwise a hash of the members' ids in order.
    """
    for key, name in (("task.name", task), ("model.name", model)):
        if not re.fullmatch(r"[\w.+-]+", name):
            raise UserError(f"{key}: expected letters, digits and any of '_.+-' (it names a folder), got {name!r}")
    job = run_ids[0] if len(run_ids) == 1 else hashlib.sha256("\n".join(run_ids).encode()).hexdigest()[:12]
    return Path(output) / f"{task}-{model}-{job}"


class Records:
    """The owner of one job folder, and the only one who writes there.

    It holds the folder's lock from construction until `close` (or the end of the `with` block); a second
    owner gets a `BusyError` that names the holder. Use::

        folder = job_folder(config.output, task_name, model_name, run_ids)
        rows = read_runs(folder)                # needs no lock: if all are finished there is nothing to train
        with Records(folder, config_dict, overwrite=config.overwrite) as records:
            step = ...                          # restored from folder / "checkpoints", or None
            records.rewind(step)                # drops what was recorded after it
            records.start_session(step or 0, devices=["cpu", "cpu"])
            records.set_runs(rows)              # status "running"
            for ...:
                records.write(step, {"metrics": columns, "scores": columns})
                records.set_runs(rows)
                ...                             # save the checkpoint AFTER the part it follows
            records.finish(rows)                # merges the parts; the rows say "finished" or "diverged"

    Every method raises `UserError` where the folder cannot be written (a full disk, say); what was recorded
    until then stays readable and the same command goes on from there.

    Attributes:
        folder: the job folder.
    """

    def __init__(self, folder: str | Path, config: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Takes the folder: makes it, or checks that it is a job folder of this format and cleans up after a kill.

        Args:
            folder: the job folder (see `job_folder`); missing parents are made.
            config: the job's resolved config, plain values only; written to `config.yaml`.
            overwrite: drop everything that was recorded in it before (checkpoints too).

        Raises:
            BusyError: another process holds it.
            UserError: it cannot be written, or it holds something else.
        """
        self.folder = Path(folder)
        self._session: dict[str, Any] | None = None
        self._lock_file: io.TextIOWrapper | None = None
        try:
            with _reworded(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._take_lock()
            provenance = read_provenance(self.folder)
            with _reworded(self.folder):
                if provenance is None:
                    self._refuse_foreign_files()
                elif overwrite:
                    self._clear()
                    provenance = None
                self._clean_up()
            self._provenance = provenance or {"format": FORMAT, "version": VERSION, "sessions": []}
            self._write_provenance()
            self._replace("config.yaml", yaml.safe_dump(dict(config), sort_keys=False).encode())
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Records":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives the folder back; nothing is lost by not calling it."""
        if self._lock_file is not None:
            self._lock_file.close()
            self._lock_file = None

    def start_session(self, from_step: int, **about: Any) -> None:
        """Opens an entry in `provenance.json`: what trains this job from `from_step` on (`about`: devices, ...)."""
        self._session = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "from_step": from_step,
            "to_step": from_step,
            "seconds": 0.0,
            "command": sys.argv,
            **_environment(),
            **about,
        }
        self._began = time.monotonic()
        self._provenance["sessions"].append(self._session)
        self._write_provenance()

    def write(self, step: int, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Records the segment that ended at `step`: a part for each table, whole and synced on return.

        Args:
            step: training steps done; writing it again replaces the part.
            tables: by name of `SCHEMAS`, the columns: arrays or lists, or a scalar for all rows.
        """
        for name, columns in tables.items():
            self._replace(f"{name}/{step:08d}.parquet", _parquet(as_table(name, columns)))
        if self._session is not None:
            self._session["to_step"] = step
            self._session["seconds"] = round(time.monotonic() - self._began, 3)
            self._write_provenance()

    def replace(self, tables: Mapping[str, pa.Table]) -> None:
        """Writes tables whole (see `as_table`), in place of what was recorded for them."""
        for name, table in tables.items():
            self._replace(f"{name}.parquet", _parquet(table))

    def set_runs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replaces the runs table; a row has the columns of `RUNS_SCHEMA`, then any of dotted names."""
        # Many columns of few rows: what Parquet says about columns would outweigh them, and slow down a reader of many.
        plain = {"use_dictionary": False, "write_statistics": False}
        self._replace("runs.parquet", _parquet(_runs_table(rows), **plain))

    def rewind(self, step: int | None) -> None:
        """Drops every row recorded after `step`, from which training goes on; None: all rows."""
        with _reworded(self.folder):
            for name in PROBED:
                (self.folder / f"{name}.parquet").unlink(missing_ok=True)
            for name in SCHEMAS:
                merged = self.folder / f"{name}.parquet"
                if merged.exists():  # killed between the merge and the last set_runs
                    if step is not None:
                        table = read_file(merged, SCHEMAS[name])
                        kept = table.filter(np.asarray(table["step"]) <= step)
                        self._replace(f"{name}/{step:08d}.parquet", _parquet(kept))
                    merged.unlink()
                for part in _parts(self.folder, name):
                    if step is None or int(part.stem) > step:
                        part.unlink()

    def finish(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Merges each table's parts into one file, then sets the runs: from now on the job counts as done."""
        for name in SCHEMAS:
            parts = _parts(self.folder, name)
            if parts:
                table = pa.concat_tables([read_file(part, SCHEMAS[name]) for part in parts])
                self._replace(f"{name}.parquet", _parquet(table))
        self._clean_up()
        self.set_runs(rows)

    def _take_lock(self) -> None:
        import fcntl  # Unix only, as training is; reading records works anywhere

        self._lock_file = open(self.folder / "lock", "a+")  # noqa: SIM115  (held until close)
        for patience in (0.05, 0.2, 0.0):
            try:
                fcntl.flock(self._lock_file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                time.sleep(patience)  # `is_held` may have looked at it, for a moment
        else:
            self._lock_file.seek(0)
            holder = self._lock_file.read().strip() or "another process"
            raise BusyError(
                f"{self.folder} is being trained by {holder}; wait for it, stop it, or choose another output=",
                str(self.folder),
            )
        self._lock_file.truncate(0)
        self._lock_file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
        self._lock_file.flush()

    def _refuse_foreign_files(self) -> None:
        foreign = sorted(path.name for path in self.folder.iterdir() if path.name != "lock" and not _temporary(path))
        if foreign:
            raise UserError(
                f"{self.folder} holds files that rnnbench did not write ({foreign[0]}, no provenance.json); "
                f"empty it or choose another output="
            )

    def _clear(self) -> None:
        """Empties the folder in an order that leaves it, after a kill, an unfinished job of ours."""
        first, last = self.folder / "runs.parquet", self.folder / "provenance.json"
        others = [path for path in sorted(self.folder.iterdir()) if path.name != "lock" and path not in (first, last)]
        for path in (first, *others, last):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _clean_up(self) -> None:
        """Deletes what a kill may have left: temporary files, and parts that the merged file holds already."""
        with _reworded(self.folder):
            for folder in (self.folder, *(self.folder / name for name in SCHEMAS)):
                for path in folder.glob(".*.tmp"):
                    path.unlink()
            for name in SCHEMAS:
                if (self.folder / f"{name}.parquet").exists() and (self.folder / name).exists():
                    shutil.rmtree(self.folder / name)

    def _write_provenance(self) -> None:
        self._replace("provenance.json", (json.dumps(self._provenance, indent=1) + "\n").encode())

    def _replace(self, name: str, content: bytes) -> None:
        """Writes a file whole: beside its place, synced, then renamed."""
        if self._lock_file is None:
            raise ValueError(f"{self.folder} was closed")
        path = self.folder / name
        temporary = path.with_name(f".{path.name}.tmp")
        with _reworded(path):
            path.parent.mkdir(exist_ok=True)
            try:
                with open(temporary, "wb") as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except OSError:
                with contextlib.suppress(OSError):
                    temporary.unlink(missing_ok=True)
                raise
            folder = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # the new name, too, outlives a power cut
            finally:
                os.close(folder)


class Unrecorded:
    """Stands in for `Records` in the processes of a job that only compute: the first one writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> "Unrecorded":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def start_session(self, from_step: int, **about: Any) -> None:
        """Nothing."""

    def write(self, step: int, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Nothing."""

    def set_runs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Nothing."""

    def rewind(self, step: int | None) -> None:
        """Nothing."""

    def finish(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Nothing."""


def read_provenance(folder: Path) -> dict[str, Any] | None:
    """A job folder's provenance, or None where there is none; `UserError` where it is of another format."""
    path = folder / "provenance.json"
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except NotADirectoryError as error:
        file = next(above for above in (folder, *folder.parents) if above.exists())
        raise UserError(f"expected a folder for {folder.name}, got the file {file}; choose another output=") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise UserError(
            f"{path} is not a provenance file of rnnbench: {folder} holds something else; "
            "move it away, or choose another output="
        )
    if found.get("version") != VERSION:
        raise UserError(
            f"{folder} holds records of format version {found.get('version')}; this rnnbench knows version {VERSION}: "
            f"read it with the rnnbench that wrote it, or choose another output="
        )
    return found


def job_folders(path: str | Path) -> Iterator[Path]:
    """Folders with a provenance file, at or below `path`; a job folder holds no other."""
    try:
        entries = list(os.scandir(path))
    except NotADirectoryError as error:
        raise UserError(f"{path} is a file; expected a folder that rnnbench wrote") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    if any(entry.name == "provenance.json" for entry in entries):
        yield Path(path)
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
            yield from job_folders(Path(entry.path))


def read_runs(folder: str | Path) -> list[dict[str, Any]]:
    """The rows of a job folder's runs table, as `Records.set_runs` got them; empty where there are none yet.

    Needs no lock: it tells whether a job is done before anything is set up to train it.
    """
    return runs_table(Path(folder)).to_pylist()


def is_held(folder: Path) -> bool:
    """Whether a process is training this job just now."""
    import fcntl

    try:
        with open(folder / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        pass
    return False


def record_plan(output: str | Path, runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Notes which runs a sweep asks for, by run id, so that `planned_runs` knows of those not begun."""
    folder = Path(output)
    name = hashlib.sha256("\n".join(runs).encode()).hexdigest()[:12]
    path = folder / f"sweep-{name}.json"
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    if folder.is_file():
        raise UserError(f"{folder}: expected a folder, got a file; choose another output=")
    with _reworded(path):
        folder.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps({"format": FORMAT, "version": VERSION, "runs": runs}, indent=1) + "\n")
        os.replace(temporary, path)


def planned_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """What sweeps have asked for at or below a folder: task, model and steps by run id."""
    runs: dict[str, dict[str, Any]] = {}
    paths: list[Path] = []
    for parent, folders, files in os.walk(folder):
        if "provenance.json" in files:
            folders.clear()  # a job holds no plans
        paths += [Path(parent, file) for file in files if re.fullmatch(r"sweep-[0-9a-f]{12}\.json", file)]
    for path in sorted(paths):
        try:
            found = json.loads(path.read_text())
        except ValueError:
            found = None
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise UserError(f"{path} is no plan of rnnbench's; move it away")
        runs |= found["runs"]
    return runs


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


def read_table(folder: Path, name: str) -> pa.Table:
    """All rows that a job has recorded for the table `name` of `SCHEMAS`, in the order they were written."""
    schema = SCHEMAS[name]
    for attempt in range(3):
        try:
            try:
                return read_file(folder / f"{name}.parquet", schema)
            except FileNotFoundError:
                parts = [read_file(part, schema) for part in _parts(folder, name)]
                return pa.concat_tables(parts) if parts else schema.empty_table()
        except FileNotFoundError:  # its owner merged the parts while we read: the merged file is there now
            if attempt == 2:
                raise
    raise AssertionError("unreachable")


def read_file(path: Path, schema: pa.Schema | None = None, columns: list[str] | None = None) -> pa.Table:
    """One Parquet file; `UserError` with its name where it is broken or has not the columns of `schema`."""
    try:
        # Read at once, since opening by name would go through pyarrow's slower dataset machinery.
        table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read(columns, use_threads=False)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
    except pa.ArrowException as error:
        raise UserError(f"{path} is broken ({error}); delete it, or its folder, and train again") from error
    for name in _LATER:
        if schema is not None and name in schema.names and name not in table.schema.names:
            table = table.append_column(name, pa.nulls(table.num_rows, pa.float64()))
    if schema is not None and table.schema.names != schema.names:
        raise UserError(
            f"{path} is no file of rnnbench: expected the columns {', '.join(schema.names)}; "
            f"it has {', '.join(table.schema.names)}"
        )
    return table if schema is None else table.cast(schema)


def _parts(folder: Path, name: str) -> list[Path]:
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


def as_table(name: str, columns: Mapping[str, Any]) -> pa.Table:
    """A table of `SCHEMAS` from its columns: arrays or lists, or a scalar for all rows."""
    if name not in SCHEMAS:
        raise ValueError(f"no table {name!r}; there are {', '.join(SCHEMAS)}")
    schema = SCHEMAS[name]
    if sorted(columns) != sorted(schema.names):
        raise ValueError(f"{name}: expected the columns {schema.names}, got {list(columns)}")
    arrays = {column: np.asarray(columns[column]) for column in schema.names}
    rows = max((len(array) for array in arrays.values() if array.ndim), default=1)
    filled = [np.broadcast_to(array, rows) if array.ndim == 0 else array for array in arrays.values()]
    return pa.table([pa.array(array, field.type) for array, field in zip(filled, schema, strict=True)], schema=schema)


def _runs_table(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
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


def _parquet(table: pa.Table, **options: Any) -> bytes:
    """A table as one Parquet file: the same rows give the same bytes."""
    buffer = io.BytesIO()
    pq.write_table(table.combine_chunks(), buffer, compression="snappy", store_schema=False, **options)
    return buffer.getvalue()


def _temporary(path: Path) -> bool:
    return path.name.startswith(".") and path.name.endswith(".tmp")


@contextlib.contextmanager
def _reworded(path: Path) -> Iterator[None]:
    """Operating system errors as a `UserError` that says which path failed and why."""
    try:
        yield
    except OSError as error:
        advice = (
            "free some space, then give the same command again"
            if error.errno in (errno.ENOSPC, errno.EDQUOT)
            else "choose another output="
        )
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; what was recorded before is kept; {advice}"
        ) from error


def _environment() -> dict[str, Any]:
    """What may change a run's numbers without being in its config."""
    packages = {}
    for name in _PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            packages[name] = metadata.version(name)
    cpu = platform.processor()
    with contextlib.suppress(OSError, IndexError):
        cpu = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())[0]
    return {
        "packages": packages,
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
        "cpu": cpu,
        "cores": os.cpu_count(),
    }
