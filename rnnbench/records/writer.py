"""What a job leaves on disk: one folder, owned by one process at a time, readable at any time.

::

    adding-gru-1f0c.../
        config.yaml         the job's resolved configuration
        provenance.json     format, version, and for each session its machine, packages, first and last step
        runs.arrow          one row per run: run_id, status, step, score, config (dotted), final and chance levels
        metrics/00000001-00000100.parquet  ...   parts during training, merged into metrics.parquet at the end
        scores/  showcase/  gradient_flow/  ...     likewise, one folder per table
        probes/             one file per table that `rnnbench probe` has measured
        checkpoints/        written by `training.checkpoints`
        lock                held by the process that trains; released if it is killed
        holder              names that process; left behind if it is killed

Every file is replaced atomically, so that a reader sees all of it or nothing, and carries a checksum (`seals`). The
runs table lists the files of the other tables. A job whose files are damaged or missing is not complete: it is trained
again from the newest checkpoint before the first record that is lost, or else from the start. Only `provenance.json`
depends on the clock: all other files of a resumed job are bit-identical to those of an uninterrupted one.

On a network file system, the lock keeps out processes on other machines only if the file system passes locks to its
server. NFS does so unless it is mounted with `nolock` or `local_lock`.
"""

import contextlib
import itertools
import os
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
from filelock import FileLock, Timeout

from rnnbench.errors import BusyError, DamagedError, UserError
from rnnbench.records.files import as_arrow, as_parquet, is_temporary, read_file, read_groups, replace, reworded
from rnnbench.records.folders import HOLDER, LOCK, RUNS
from rnnbench.records.parts import Part, parts_of, to_merge
from rnnbench.records.provenance import machine_and_packages, new_provenance, read_provenance
from rnnbench.records.reader import PROBED, is_undamaged, known_provenance, lost, rows_at_end, table_names
from rnnbench.records.schemas import SCHEMAS, VERSION, runs_as_table
from rnnbench.records.seals import sealed_json, sealed_yaml


class Records:
    """The owner of a job folder, and the only one that writes to it.

    It holds the folder's lock from construction until `close` (or the end of the `with` block). A second owner gets a
    `BusyError` that names the holder. Use it like this::

        folder = job_folder(config.output, task_name, model_name, run_ids)
        rows = read_runs(folder)                # needs no lock: if all are finished there is nothing to train
        with Records(folder, config_dict, overwrite=config.overwrite) as records:
            step = ...                          # restored from folder / "checkpoints", or None
            records.rewind(step, rows)          # drops what was recorded after it; status "running"
            records.start_session(step or 0, devices=["cpu", "cpu"])
            for ...:
                records.write(step, {"metrics": table, "scores": table})
                records.set_runs(rows)
                ...                             # save the checkpoint AFTER the part it follows
            records.finish(rows, {"showcase": table})  # merges the parts; the rows say "finished" or "diverged"

    Every method raises `UserError` if the folder cannot be written (because the disk is full, say). What was recorded
    before stays readable, and the same command resumes from there.

    Attributes:
        folder: the job folder.
    """

    _whole: list[str]
    _parts: dict[str, list[Part]]
    _next: int

    def __init__(self, folder: str | Path, config: Mapping[str, Any], *, overwrite: bool = False) -> None:
        """Takes the folder: creates it, or checks that it is a job folder of this format and cleans up after a kill.

        Args:
            folder: the job folder (see `job_folder`); missing parents are created.
            config: the job's resolved configuration, with plain values only; `rewind` writes it to `config.yaml`.
            overwrite: whether to delete everything that was recorded before, including checkpoints.

        Raises:
            BusyError: another process holds the folder.
            UserError: the folder cannot be written, or contains something else.
        """
        self.folder = Path(folder)
        self._session: dict[str, Any] | None = None
        # `is_held` may hold it for a moment: try for longer than that. Any thread may close.
        self._lock = FileLock(self.folder / LOCK, timeout=0.25, thread_local=False)
        try:
            with reworded(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._take_lock()
            provenance = self._provenance_of_own()
            with reworded(self.folder):
                if provenance is None:
                    self._refuse_foreign_files()
                elif overwrite:
                    self._clear()
                    provenance = None
                self._clean_up()
            self._provenance = provenance or new_provenance()
            self._take_stock()
            self._at_end = rows_at_end(self.folder)
            self._write_provenance()
            self._config = sealed_yaml(dict(config))
            if not is_undamaged(self.folder / "config.yaml"):
                self._replace("config.yaml", self._config)
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
        """Releases the folder. Nothing is lost if this is not called."""
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                (self.folder / HOLDER).unlink(missing_ok=True)
            self._lock.release()

    def start_session(self, from_step: int, **about: Any) -> None:
        """Adds a session that starts at `from_step` to `provenance.json`; `about` adds facts such as devices."""
        self._session = {
            "started": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "from_step": from_step,
            "to_step": from_step,
            "seconds": 0.0,
            "command": sys.argv,
            **machine_and_packages(),
            **about,
        }
        self._began = time.monotonic()
        self._provenance["sessions"].append(self._session)
        self._write_provenance()

    def write(self, step: int, tables: Mapping[str, pa.Table]) -> None:
        """Records the segment that ended at `step`: one part for each table, on disk when this returns.

        Args:
            step: training steps done.
            tables: tables by name; all parts of a table have the same schema.
        """
        for name, table in tables.items():
            self._add(Part(name, self._next, step), table)
            while due := to_merge(self._parts[name]):
                self._merge(due)
        self._next = step + 1
        if self._session is not None:
            self._session["to_step"] = step
            self._session["seconds"] = round(time.monotonic() - self._began, 3)
            self._write_provenance()

    def write_probed(self, tables: Mapping[str, pa.Table]) -> None:
        """Records what was measured in trained models, replacing what was measured before."""
        for name, table in tables.items():
            self._replace(f"{PROBED}/{name}.parquet", as_parquet([table]))

    def set_runs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replaces the runs table. Rows have the columns of `RUNS_SCHEMA`, then any others with dotted names.

        The file also lists the tables recorded so far, so that a reader sees if one of them is missing, and how many of
        their last rows were recorded only because training ended.
        """
        whole = [f"{name}.parquet" for name in self._whole]
        files = [*whole, *(part.name for parts in self._parts.values() for part in parts)]
        at_end = [f"{name} {rows}" for name, rows in sorted(self._at_end.items())]
        metadata = {"version": str(VERSION), "files": "\n".join(sorted(files)), "at_end": "\n".join(at_end)}
        self._replace(RUNS, as_arrow(runs_as_table(rows), metadata))

    def rewind(self, step: int | None, rows: Sequence[Mapping[str, Any]]) -> None:
        """Deletes every row recorded after `step`, where training resumes, and what was recorded at its end.

        Args:
            step: training steps done; None deletes all rows.
            rows: the runs as of that step, which replace the runs table.
        """
        last = -1 if step is None else step
        stale = [self.folder / f"{name}.parquet" for name in self._whole]
        for name, path in zip(self._whole, stale, strict=True):
            self._keep(path, Part(name, 0, last), self._at_end.get(name, 0))
        self._whole = []
        for parts in self._parts.values():
            later = [part for part in parts if part.last > last]
            del parts[len(parts) - len(later) :]
            for part in later:
                stale.append(self.folder / part.name)
                self._keep(stale[-1], part._replace(last=last))
        # From here on, the runs table lists nothing stale. A kill before or after this loses and doubles no row.
        self.set_runs(rows)
        with reworded(self.folder):
            for path in stale:
                path.unlink()
            if (self.folder / PROBED).exists():
                shutil.rmtree(self.folder / PROBED)
        self._replace("config.yaml", self._config)
        self._at_end = {}
        self._next = last + 1

    def finish(self, rows: Sequence[Mapping[str, Any]], at_end: Mapping[str, pa.Table] | None = None) -> None:
        """Merges each table's parts into one file, then sets the runs. From then on the job counts as done.

        Args:
            rows: the runs.
            at_end: what is recorded only because training ends here, by table; a longer training drops it.
        """
        at_end = at_end or {}
        self._at_end = {name: table.num_rows for name, table in at_end.items()}
        self.set_runs(rows)  # first, since a job that is killed while it merges must know these rows by their number
        for name in {**self._parts, **at_end}:
            parts, last = self._parts.get(name, []), [at_end[name]] if name in at_end else []
            if parts or last:
                self._replace(f"{name}.parquet", as_parquet(itertools.chain(self._read(parts), last)))
        self._clean_up()
        self._take_stock()
        self.set_runs(rows)

    def _take_stock(self) -> None:
        """Notes which tables are recorded as a whole, which in parts, and up to which step."""
        names = table_names(self.folder)
        self._whole = [name for name in names if (self.folder / f"{name}.parquet").exists()]
        self._parts = {name: found for name in names if (found := parts_of(self.folder, name))}
        self._next = 1 + max((parts[-1].last for parts in self._parts.values()), default=-1)

    def _add(self, part: Part, table: pa.Table) -> None:
        self._replace(part.name, as_parquet([table]))
        self._parts.setdefault(part.table, []).append(part)

    def _keep(self, path: Path, part: Part, at_end: int = 0) -> None:
        """Makes a part of the rows that a file has up to the part's last step, except the number `at_end`."""
        if part.first <= part.last:
            table = read_file(path, SCHEMAS.get(part.table))
            table = table.slice(0, table.num_rows - at_end)
            kept = table.filter(np.asarray(table["step"]) <= part.last)
            if kept.num_rows:
                self._add(part, kept)

    def _merge(self, parts: Sequence[Part]) -> None:
        """Replaces the last parts of a table by one. A kill may leave both; readers then take the merged one."""
        merged = parts[0]._replace(last=parts[-1].last)
        self._replace(merged.name, as_parquet(self._read(parts)))
        self._parts[merged.table][-len(parts) :] = [merged]
        with reworded(self.folder):
            for part in parts:
                (self.folder / part.name).unlink()

    def _read(self, parts: Sequence[Part]) -> Iterator[pa.Table]:
        """Yields the rows of parts of one table, some at a time."""
        try:
            for part in parts:
                yield from read_groups(self.folder / part.name, SCHEMAS.get(part.table))
        except FileNotFoundError as error:
            raise DamagedError(f"{error.filename} is missing; give the command that wrote it again") from error

    def _take_lock(self) -> None:
        holder = self.folder / HOLDER
        try:
            self._lock.acquire(poll_interval=0.01)
        except Timeout:
            name = "another process"
            with contextlib.suppress(OSError):  # that process may have just ended or started
                name = holder.read_text().strip() or name
            raise BusyError(
                f"{self.folder} is being trained by {name}; wait for it, stop it, or choose another output=",
                str(self.folder),
            ) from None
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")

    def _provenance_of_own(self) -> dict[str, Any] | None:
        """Returns the provenance, even if it is damaged or missing and only other files tell that this is a job."""
        if lost(self.folder).keys() >= {"config.yaml", RUNS}:
            return read_provenance(self.folder)
        return known_provenance(self.folder)

    def _refuse_foreign_files(self) -> None:
        names = sorted(path.name for path in self.folder.iterdir() if not is_temporary(path))
        foreign = [name for name in names if name not in (LOCK, HOLDER)]
        if foreign:
            raise UserError(
                f"{self.folder} holds files that rnnbench did not write ({foreign[0]}, no provenance.json); "
                f"empty it or choose another output="
            )

    def _clear(self) -> None:
        """Empties the folder in an order that leaves a valid unfinished job at any time, in case of a kill."""
        first, last = self.folder / RUNS, self.folder / "provenance.json"
        self._replace(last.name, sealed_json(new_provenance()))  # what is deleted now is not lost
        apart = (first.name, last.name, LOCK, HOLDER)
        others = [path for path in sorted(self.folder.iterdir()) if path.name not in apart]
        for path in (first, *others, last):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _clean_up(self) -> None:
        """Deletes what a kill may have left behind: temporary files, and parts that are already merged."""
        with reworded(self.folder):
            names = table_names(self.folder)
            for folder in (self.folder, self.folder / PROBED, *(self.folder / name for name in names)):
                for path in folder.glob(".*.tmp"):
                    path.unlink()
            for name in names:
                if (self.folder / f"{name}.parquet").exists() and (self.folder / name).exists():
                    shutil.rmtree(self.folder / name)
                merged = {part.name for part in parts_of(self.folder, name)}
                for path in (self.folder / name).glob("*.parquet"):
                    if path.relative_to(self.folder).as_posix() not in merged:
                        path.unlink()

    def _write_provenance(self) -> None:
        self._replace("provenance.json", sealed_json(self._provenance))

    def _replace(self, name: str, content: bytes) -> None:
        """Writes a file in the folder atomically, if the folder is still held."""
        if not self._lock.is_locked:
            raise ValueError(f"{self.folder} was closed")
        replace(self.folder / name, content)


class Unrecorded:
    """Stands in for `Records` in all processes of a job except the leader, which writes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __enter__(self) -> "Unrecorded":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def start_session(self, from_step: int, **about: Any) -> None:
        """Does nothing."""

    def write(self, step: int, tables: Mapping[str, pa.Table]) -> None:
        """Does nothing."""

    def set_runs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Does nothing."""

    def rewind(self, step: int | None, rows: Sequence[Mapping[str, Any]]) -> None:
        """Does nothing."""

    def finish(self, rows: Sequence[Mapping[str, Any]], at_end: Mapping[str, pa.Table] | None = None) -> None:
        """Does nothing."""
