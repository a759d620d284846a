"""Job folders: their names, how to find them, and whether a process holds one."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from rnnbench.errors import UserError

LOCK = "lock"
"""Locked by the process that trains the job, and released when the process ends in any way. Always empty."""

RUNS = "runs.arrow"
"""The runs table: an Arrow file, since thousands of them are read at once."""

HOLDER = "holder"
"""Names that process until it closes the folder. Not in the lock itself, since Windows cannot read a locked file."""


def job_folder(output: str | Path, task: str, model: str, run_ids: Sequence[str]) -> Path:
    """Returns the folder of the job that trains these runs: `<output>/<task>-<model>-<job id>`.

    The job id of a single run is its run id; otherwise it is a hash of the members' ids in order.
    """
    job = run_ids[0] if len(run_ids) == 1 else hashlib.sha256("\n".join(run_ids).encode()).hexdigest()[:12]
    return Path(output) / f"{task}-{model}-{job}"


def job_folders(path: str | Path) -> Iterator[Path]:
    """Yields the job folders at or below `path`, in the order of their paths. Job folders are not nested.

    Raises:
        UserError: there is no such folder, it is a file, or it cannot be read.
    """
    return jobs_among(walk(path))


def jobs_among(walked: Iterable[tuple[str, list[str]]]) -> Iterator[Path]:
    """Yields the job folders among those that `walk` yields."""
    return (Path(folder) for folder, names in walked if is_job(names))


def walk(path: str | Path) -> Iterator[tuple[str, list[str]]]:
    """Yields each folder at or below `path` that is not in a job folder, and the names in it. Hidden ones are left out.

    Raises:
        UserError: there is no such folder, it is a file, or it cannot be read.
    """
    try:
        entries = sorted(os.scandir(path), key=lambda entry: entry.name)
    except (FileNotFoundError, ValueError) as error:  # no folder can have some names, such as those with a NUL
        raise UserError(
            f"{path}: there is no such folder; expected one that rnnbench wrote (output=, else results)"
        ) from error
    except NotADirectoryError as error:
        raise UserError(f"{path} is a file; expected a folder that rnnbench wrote") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    names = [entry.name for entry in entries]
    yield str(path), names
    if not is_job(names):
        for entry in entries:
            if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                yield from walk(entry.path)


def is_job(names: Sequence[str]) -> bool:
    """Returns whether a folder with files of these names is a job's, even if it has lost its provenance."""
    return "provenance.json" in names or {"config.yaml", RUNS} <= {*names}


def is_held(folder: Path) -> bool:
    """Returns whether a process is training this job now.

    If the folder names such a process, the lock shows whether it is still alive: the lock is taken for a moment, but
    never created. In a read-only folder the lock cannot be tried, so a killed process counts as alive.
    """
    if not os.path.exists(f"{folder}/{HOLDER}") or not (folder / LOCK).exists():  # a Path is slow for very many
        return False
    try:
        with FileLock(folder / LOCK, timeout=0.02, thread_local=False).acquire(poll_interval=0.005):
            return False
    except Timeout:
        return True
    except OSError:
        return True
