"""Job folders: their names, where they are, and whether a process holds one."""

import hashlib
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from rnnbench.errors import UserError


def job_folder(output: str | Path, task: str, model: str, run_ids: Sequence[str]) -> Path:
    """The folder of the job that trains these runs: `<output>/<task>-<model>-<job id>`.

    The job id of a population of one is its run id, otherwise a hash of the members' ids in order.
    """
    for key, name in (("task.name", task), ("model.name", model)):
        if not re.fullmatch(r"[\w.+-]+", name):
            raise UserError(f"{key}: expected letters, digits and any of '_.+-' (it names a folder), got {name!r}")
    job = run_ids[0] if len(run_ids) == 1 else hashlib.sha256("\n".join(run_ids).encode()).hexdigest()[:12]
    return Path(output) / f"{task}-{model}-{job}"


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
