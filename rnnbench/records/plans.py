"""Which runs a sweep asks for, saved beside the job folders."""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError
from rnnbench.records.damage import tell
from rnnbench.records.files import read_whole, replace, reworded
from rnnbench.records.folders import walk
from rnnbench.records.schemas import FORMAT, VERSION
from rnnbench.records.seals import sealed_json

_PLAN = re.compile(r"sweep-[0-9a-f]{12}\.json")


def record_plan(output: str | Path, runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Saves which runs a sweep asks for, by run id, so that `planned_runs` includes runs that have not started.

    The file name is a hash of the run ids, so that a repeated sweep replaces its own plan.

    Raises:
        UserError: the plan cannot be written.
    """
    folder = Path(output)
    name = hashlib.sha256("\n".join(runs).encode()).hexdigest()[:12]
    path = folder / f"sweep-{name}.json"
    if folder.is_file():
        raise UserError(f"{folder}: expected a folder, got a file; choose another output=")
    with reworded(path):
        folder.mkdir(parents=True, exist_ok=True)
    replace(path, sealed_json({"format": FORMAT, "version": VERSION, "runs": runs}))


def planned_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns the runs that sweeps have asked for at or below a folder: task, model and most steps by run id.

    Plans that are damaged are left out, and named on stderr.
    """
    return plans_among(walk(folder))


def plans_among(walked: Iterable[tuple[str, list[str]]]) -> dict[str, dict[str, Any]]:
    """Returns the planned runs of the folders that `walk` yields."""
    runs: dict[str, dict[str, Any]] = {}
    paths = [Path(parent, name) for parent, names in walked for name in names if _PLAN.fullmatch(name)]
    for path in sorted(paths):
        try:
            found = json.loads(read_whole(path))
        except FileNotFoundError:
            continue
        except UserError as error:
            tell(f"left out: {error}")
            continue
        if found["version"] != VERSION:
            tell(f"left out: {path} is of format version {found['version']}; this rnnbench knows version {VERSION}")
            continue
        for run, about in found["runs"].items():
            if run not in runs or about["steps"] > runs[run]["steps"]:
                runs[run] = about
    return runs
