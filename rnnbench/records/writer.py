"""What a job leaves on disk: one folder, owned by one process at a time, readable at any moment.

::

    adding-gru-1f0c.../
        config.yaml         the job's resolved config
        provenance.json     format, version, and what every session ran on and from where to where it trained
        runs.parquet        one row a run: run_id, status, step, score, config (dotted), final and chance levels
        metrics/00000100.parquet  ...   parts while it trains, merged into metrics.parquet when it is finished
        scores/  showcase/  gradient_flow/  ...     likewise, a folder for each table
        probes/             a file for each table that `rnnbench probe` measured
        checkpoints/        not this module's
        lock                held by the process that trains: a killed one lets go of it
        holder              which process that is; there only while one trains, or after it was killed

Every file is written beside its place, synced and renamed, so that a reader sees it whole or not at all, and
no file but `provenance.json` depends on the clock: a resumed job leaves the bytes of an undisturbed one.

On a network file system the lock keeps out processes on other machines only if the file system passes locks on to its
server, as NFS does unless it is mounted with `nolock` or `local_lock`.
"""

import contextlib
import json
import os
import shutil
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from filelock import FileLock, Timeout

from rnnbench.errors import BusyError, UserError
from rnnbench.records.files import as_parquet, is_temporary, read_file, replace, reworded
from rnnbench.records.folders import HOLDER, LOCK
from rnnbench.records.parts import part_name, part_paths, part_step
from rnnbench.records.provenance import machine_and_packages, read_provenance
from rnnbench.records.reader import PROBED, table_names
from rnnbench.records.schemas import FORMAT, SCHEMAS, VERSION, runs_as_table


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
                records.write(step, {"metrics": table, "scores": table})
                records.set_runs(rows)
                ...                             # save the checkpoint AFTER the part it follows
            records.finish(rows)                # merges the parts; the rows say "finished" or "diverged"

    Every method raises `UserError` where the folder cannot be written (a full disk, say); what was recorded
    until then stays readable and the same command resumes from there.

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
        # `is_held` may hold it for a moment: try for longer than that. Any thread may close.
        self._lock = FileLock(self.folder / LOCK, timeout=0.25, thread_local=False)
        try:
            with reworded(self.folder):
                self.folder.mkdir(parents=True, exist_ok=True)
                self._take_lock()
            provenance = read_provenance(self.folder)
            with reworded(self.folder):
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
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                (self.folder / HOLDER).unlink(missing_ok=True)
            self._lock.release()

    def start_session(self, from_step: int, **about: Any) -> None:
        """Opens an entry in `provenance.json`: what trains this job from `from_step` on (`about`: devices, ...)."""
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
        """Records the segment that ended at `step`: a part for each table, whole and synced on return.

        Args:
            step: training steps done; writing it again replaces the part.
            tables: by name; every part of a table has the same schema.
        """
        for name, table in tables.items():
            self._replace(part_name(name, step), as_parquet(table))
        if self._session is not None:
            self._session["to_step"] = step
            self._session["seconds"] = round(time.monotonic() - self._began, 3)
            self._write_provenance()

    def write_probed(self, tables: Mapping[str, pa.Table]) -> None:
        """Records what was measured of the trained models, in place of what was measured before."""
        for name, table in tables.items():
            self._replace(f"{PROBED}/{name}.parquet", as_parquet(table))

    def set_runs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Replaces the runs table; a row has the columns of `RUNS_SCHEMA`, then any of dotted names."""
        # Many columns of few rows: what Parquet says about columns would outweigh them, and slow down a reader of many.
        plain = {"use_dictionary": False, "write_statistics": False}
        self._replace("runs.parquet", as_parquet(runs_as_table(rows), **plain))

    def rewind(self, step: int | None) -> None:
        """Drops every row recorded after `step`, from which training resumes; None: all rows."""
        with reworded(self.folder):
            if (self.folder / PROBED).exists():
                shutil.rmtree(self.folder / PROBED)
            for name in table_names(self.folder):
                merged = self.folder / f"{name}.parquet"
                if merged.exists():  # killed between the merge and the last set_runs
                    if step is not None:
                        table = read_file(merged, SCHEMAS.get(name))
                        kept = table.filter(np.asarray(table["step"]) <= step)
                        self._replace(part_name(name, step), as_parquet(kept))
                    merged.unlink()
                for part in part_paths(self.folder, name):
                    if step is None or part_step(part) > step:
                        part.unlink()

    def finish(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Merges each table's parts into one file, then sets the runs: from now on the job counts as done."""
        for name in table_names(self.folder):
            tables = [read_file(part, SCHEMAS.get(name)) for part in part_paths(self.folder, name)]
            if tables:
                self._replace(f"{name}.parquet", as_parquet(pa.concat_tables(tables)))
        self._clean_up()
        self.set_runs(rows)

    def _take_lock(self) -> None:
        holder = self.folder / HOLDER
        try:
            self._lock.acquire(poll_interval=0.01)
        except Timeout:
            name = "another process"
            with contextlib.suppress(OSError):  # it may just end, or have only begun
                name = holder.read_text().strip() or name
            raise BusyError(
                f"{self.folder} is being trained by {name}; wait for it, stop it, or choose another output=",
                str(self.folder),
            ) from None
        holder.write_text(f"process {os.getpid()} on {socket.gethostname()}\n")

    def _refuse_foreign_files(self) -> None:
        names = sorted(path.name for path in self.folder.iterdir() if not is_temporary(path))
        foreign = [name for name in names if name not in (LOCK, HOLDER)]
        if foreign:
            raise UserError(
                f"{self.folder} holds files that rnnbench did not write ({foreign[0]}, no provenance.json); "
                f"empty it or choose another output="
            )

    def _clear(self) -> None:
        """Empties the folder in an order that leaves it, after a kill, an unfinished job of ours."""
        first, last = self.folder / "runs.parquet", self.folder / "provenance.json"
        apart = (first.name, last.name, LOCK, HOLDER)
        others = [path for path in sorted(self.folder.iterdir()) if path.name not in apart]
        for path in (first, *others, last):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    def _clean_up(self) -> None:
        """Deletes what a kill may have left: temporary files, and parts that the merged file holds already."""
        with reworded(self.folder):
            names = table_names(self.folder)
            for folder in (self.folder, self.folder / PROBED, *(self.folder / name for name in names)):
                for path in folder.glob(".*.tmp"):
                    path.unlink()
            for name in names:
                if (self.folder / f"{name}.parquet").exists() and (self.folder / name).exists():
                    shutil.rmtree(self.folder / name)

    def _write_provenance(self) -> None:
        self._replace("provenance.json", (json.dumps(self._provenance, indent=1) + "\n").encode())

    def _replace(self, name: str, content: bytes) -> None:
        """Writes a file of the folder whole, as long as the folder is held."""
        if not self._lock.is_locked:
            raise ValueError(f"{self.folder} was closed")
        replace(self.folder / name, content)


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

    def write(self, step: int, tables: Mapping[str, pa.Table]) -> None:
        """Nothing."""

    def set_runs(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Nothing."""

    def rewind(self, step: int | None) -> None:
        """Nothing."""

    def finish(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Nothing."""
