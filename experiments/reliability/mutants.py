"""Changes the code at random places, and counts the changes that no test notices.

    pip install cosmic-ray
    python experiments/reliability/mutants.py

Cosmic Ray finds every place where an operator, a number, a comparison, a keyword or a decorator can be exchanged. Of
each part of the code, places are drawn at random, with one change each, and the part's own tests are run with it. A
change is killed if a test fails. Annotations are left out, since `int | None` computes nothing.

It works in a copy of the last commit, and resumes where it was stopped. Every survivor is printed with its difference.
It is either killed by a new test, or explained in README.md: the rule is that none is left without one of the two.
"""

import argparse
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path

from campaign import write_result

PARTS = {
    "cells": (["rnnbench/cells"], ["tests/cells"]),
    "tasks": (["rnnbench/tasks"], ["tests/tasks"]),
    "statistics": (["rnnbench/analysis/statistics.py"], ["tests/analysis"]),
    "records": (["rnnbench/records"], ["tests/records", "tests/training/test_damage.py"]),
}
"""By part: what is changed, and the tests that should notice."""

CACHE = {
    "JAX_ENABLE_COMPILATION_CACHE": "true",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
}
"""Programs that a change leaves as they are need not be compiled again: this takes two thirds of the time."""

CONFIG = """[cosmic-ray]
module-path = {modules}
timeout = 300.0
excluded-modules = []
test-command = "{command}"
[cosmic-ray.distributor]
name = "local"
"""


def draw_places(session: Path, number: int, seed: int) -> None:
    """Keeps one random change at each of `number` random places, and deletes all others from a session."""
    draw = random.Random(seed)
    with closing(sqlite3.connect(session)) as database, database:
        places = defaultdict(list)
        query = "SELECT module_path, start_pos_row, start_pos_col, operator_name, job_id FROM mutation_specs"
        for module, row, column, operator, job in database.execute(f"{query} ORDER BY 1, 2, 3, 4, 5"):
            if "_BitOr_" not in operator:
                places[module, row, column].append(job)
        kept = [draw.choice(places[place]) for place in draw.sample(sorted(places), min(number, len(places)))]
        marks = ",".join("?" * len(kept))
        for table in ("mutation_specs", "work_items"):
            database.execute(f"DELETE FROM {table} WHERE job_id NOT IN ({marks})", kept)


def run_part(part: str, copy: Path, number: int, seed: int) -> dict[str, list[str]]:
    """Returns the differences of the changes to a part, by outcome: killed, survived or incompetent."""
    modules, tests = PARTS[part]
    config, session = copy.parent / f"{part}.toml", copy.parent / f"{part}.sqlite"
    command = f"{sys.executable} -m pytest -x -q -p no:cacheprovider {' '.join(tests)}"
    config.write_text(CONFIG.format(modules=json.dumps(modules), command=command))
    environment = os.environ | {"PYTHONPATH": f"{copy}:{copy / 'rnnbench/_plugins'}", **CACHE}
    environment["JAX_COMPILATION_CACHE_DIR"] = str(copy.parent / "compiled")

    def cosmic_ray(*arguments: str | Path) -> str:
        command = [sys.executable, "-m", "cosmic_ray.cli", *map(str, arguments)]
        return subprocess.run(command, cwd=copy, env=environment, check=True, text=True, stdout=subprocess.PIPE).stdout

    if not session.exists():
        cosmic_ray("init", config, session)
        draw_places(session, number, seed)
    cosmic_ray("exec", config, session)
    outcomes = defaultdict(list)
    for line in cosmic_ray("dump", session).splitlines():
        _, result = json.loads(line)
        outcomes[result["test_outcome"]].append(result["diff"])
    return outcomes


def main() -> None:
    """Runs every part, prints the survivors and writes the counts to a file."""
    parser = argparse.ArgumentParser(description="How many changes of the code no test notices.")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--number", type=int, default=60, help="changes in each part (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the places (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/reliability"))
    options = parser.parse_args()
    began = time.monotonic()
    copy = (options.output / "mutants" / "copy").resolve()
    if not copy.exists():
        subprocess.run(["git", "worktree", "add", "--detach", copy, "HEAD"], check=True)
    result = {}
    for part in options.parts:
        outcomes = run_part(part, copy, options.number, options.seed)
        print(*outcomes["survived"], sep="\n")
        result[part] = {outcome: len(found) for outcome, found in sorted(outcomes.items())}
        print(f"{part}: {result[part]}")
    write_result(options.output / "mutants.json", {"seed": options.seed, "outcomes": result}, began)


if __name__ == "__main__":
    main()
