"""Which runs a sweep asks for, noted beside the job folders."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnnbench.errors import UserError
from rnnbench.records.files import replace, reworded
from rnnbench.records.schemas import FORMAT, VERSION


def record_plan(output: str | Path, runs: Mapping[str, Mapping[str, Any]]) -> None:
    """Notes which runs a sweep asks for, by run id, so that `planned_runs` knows of those that have not begun.

    The file's name is a hash of the run ids: the same sweep, given again, replaces its own plan.

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
    replace(path, (json.dumps({"format": FORMAT, "version": VERSION, "runs": runs}, indent=1) + "\n").encode())


def planned_runs(folder: Path) -> dict[str, dict[str, Any]]:
    """Returns what sweeps have asked for at or below a folder: task, model and steps by run id.

    Raises:
        UserError: a file with a plan's name holds something else.
    """
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
