"""Trains one sweep by two commands at once, with readers beside them: `python experiments/reliability/together.py`.

The sweep: RNN, LSTM and GRU, ten seeds each in jobs of at most four runs. Both commands are processes of their own, and
the second starts a moment after the first, drawn anew in each round. Until both have ended, this process reads the
results in a loop. Then the folder is moved, and a sweep of more seeds is trained in the new place.

The verdict is "pass" if there is no fault, and these are faults:

- A command fails, or a run is not trained exactly once, from the first to the last step, in one session.
- Once there is a first record, a read (`load_runs`, `load_metrics`, `rnnbench status`) fails or says anything on
  stderr; or a row is not one of the finished sweep; or a run has only a part of the rows of an evaluation; or a run
  or a row that was there before is gone.
- A run's tables and last state are not the same bits as those of the sweep that one command has trained.
- In the moved folder, a job that was there before is touched, or one of the further runs is missing.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
from campaign import command, differences, outcome, tracked, workspace, write_result

import rnnbench
from rnnbench.records.folders import job_folders

OVERRIDES = [
    *("-m", "model=rnn,lstm,gru", "task=adding", "task.length=10", "model.hidden_size=4", "train.batch_size=8"),
    *("train.steps=300", "train.eval_every=20", "train.log_every=10", "train.test_size=16", "probe.size=4"),
    *("train.checkpoint_seconds=1", "population.max_size=4", "report=false", "devices=1"),
]

SEEDS, MORE_SEEDS, CELLS = 10, 13, 3


def start(output: Path, seeds: int, log: Path) -> subprocess.Popen[bytes]:
    """Starts the command that trains this number of seeds."""
    arguments = [sys.executable, "-m", "rnnbench", *OVERRIDES, f"seed=range({seeds})", f"output={output}"]
    with open(log, "w") as file:
        return subprocess.Popen(arguments, stdout=file, stderr=file, env=os.environ | {"OMP_NUM_THREADS": "1"})


def sessions(results: Path) -> dict[str, list[tuple[int, int]]]:
    """Returns the first and last step of every session of training, by job."""
    return {
        folder.name: [
            (s["from_step"], s["to_step"]) for s in json.loads((folder / "provenance.json").read_text())["sessions"]
        ]
        for folder in job_folders(results)
    }


def contents(results: Path) -> dict[str, bytes]:
    """Returns the content of every file in job folders."""
    jobs = [*job_folders(results)]
    return {str(p.relative_to(results)): p.read_bytes() for job in jobs for p in job.rglob("*") if p.is_file()}


def rows_of(table: pd.DataFrame) -> Counter[tuple[str, ...]]:
    """Returns the rows of a table, as text."""
    return Counter(tuple(map(repr, row)) for row in table.itertuples(index=False, name=None))


class Reader:
    """Reads results again and again, and checks each time what it has read.

    Attributes:
        counts: how many reads there were.
        faults: what was wrong, and how many times.
    """

    def __init__(self, results: Path, undisturbed: Path) -> None:
        self.results = results
        self._rows = rows_of(rnnbench.load_metrics(undisturbed))
        self._sizes = Counter(row[:3] for row in self._rows)  # of an evaluation, by run, step and split
        self._runs: set[str] = set()
        self._seen: Counter[tuple[str, ...]] = Counter()
        self.counts: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()

    def read(self) -> None:
        """Reads once."""
        runs = outcome(lambda: rnnbench.load_runs(self.results))
        metrics = outcome(lambda: rnnbench.load_metrics(self.results))
        ended = command("status", str(self.results))
        self.counts["reads"] += 3
        if not self._runs and ("no records" in runs.said or "no such folder" in runs.said):
            self.counts["reads before the first record"] += 3
            return
        for name, said in (("load_runs", runs.said), ("load_metrics", metrics.said), ("status", ended.said)):
            if said:
                self.faults[f"{name} says {said}".replace(str(self.results), "")] += 1
        if ended.code != 0:
            self.faults[f"status ends with exit code {ended.code}"] += 1
        if isinstance(runs.value, str) or isinstance(metrics.value, str):
            return
        found = {*runs.value["run_id"]}
        rows = rows_of(metrics.value)
        sizes = Counter(row[:3] for row in rows)
        self.faults["a run is gone"] += bool(self._runs - found)
        self.faults["a row is gone"] += bool(self._seen - rows)
        self.faults["a row is not of the finished sweep, or doubled"] += bool(rows - self._rows)
        self.faults["a part of an evaluation"] += any(sizes[key] != self._sizes[key] for key in sizes)
        self._runs, self._seen = found, rows
        self.counts["rows read"] += rows.total()


class Campaign:
    """The rounds, and what was wrong in them.

    Attributes:
        faults: what was wrong, by round.
        counts: what was read and trained.
    """

    def __init__(self, folder: Path) -> None:
        """Trains the sweeps undisturbed, by one command each."""
        self.folder = folder
        self.undisturbed, self.more = folder / "undisturbed", folder / "undisturbed-more"
        self.faults: list[str] = []
        self.counts: Counter[str] = Counter()
        self.train(self.undisturbed, SEEDS)
        shutil.copytree(self.undisturbed, self.more)
        self.train(self.more, MORE_SEEDS)

    def train(self, output: Path, seeds: int) -> None:
        """Trains a sweep by one command."""
        log = self.folder / "alone.log"
        if (code := start(output, seeds, log).wait()) != 0:
            self.faults.append(f"one command alone ends with exit code {code}: {log.read_text()}")

    def round(self, number: int, pause: float) -> None:
        """Trains by two commands at once while reading, then moves the folder and extends the sweep.

        Args:
            number: the number of the round.
            pause: seconds from the start of the first command to that of the second.
        """
        results, moved = self.folder / f"results-{number}", self.folder / f"moved-{number}"
        where = f"round {number}, second command after {pause:.1f} s"
        reader = Reader(results, self.undisturbed)
        logs = [self.folder / f"{number}-{which}.log" for which in ("first", "second")]
        began = time.monotonic()
        processes = [start(results, SEEDS, logs[0])]
        while any(process.poll() is None for process in processes) or len(processes) == 1:
            if len(processes) == 1 and time.monotonic() - began >= pause:
                processes.append(start(results, SEEDS, logs[1]))
            reader.read()
            time.sleep(0.05)
        for process, log in zip(processes, logs, strict=True):
            if process.returncode != 0:
                self.faults.append(f"{where}: exit code {process.returncode}: {log.read_text()}")
        self.faults += [f"{where}: {times} times: {fault}" for fault, times in (+reader.faults).items()]
        self.counts += reader.counts
        self.counts["jobs that the second command waited for or left"] += logs[1].read_text().count("left for now")
        self.check_sessions(where, results)
        self.faults += [f"{where}: other {found}" for found in differences(self.undisturbed, results)]

        shutil.move(results, moved)
        before, jobs = contents(moved), {*sessions(moved)}
        self.train(moved, MORE_SEEDS)
        after = contents(moved)
        touched = sorted(name for name, content in before.items() if after.get(name) != content)
        self.faults += [f"{where}: {name} is touched after the move" for name in touched]
        new = rnnbench.load_runs(moved)
        new = new[~new["folder"].map(lambda folder: Path(folder).name in jobs)]
        if len(new) != CELLS * (MORE_SEEDS - SEEDS):
            self.faults.append(f"{where}: {len(new)} runs are trained after the move")
        self.check_sessions(f"{where}, moved", moved)
        self.faults += [f"{where}: other {found} after the move" for found in differences(self.more, moved)]
        shutil.rmtree(moved)

    def check_sessions(self, where: str, results: Path) -> None:
        """Checks that each job was trained once, and that no run is in two jobs."""
        runs = rnnbench.load_runs(results)
        steps = runs["train.steps"].max()
        trained = sessions(results)
        self.counts["runs trained"] += len(runs)
        for job, own in trained.items():
            if own != [(0, steps)]:
                self.faults.append(f"{where}: {job} was trained in the sessions {own}")
        members = Counter(run for folder in job_folders(results) for run in rnnbench.load_runs(folder)["run_id"])
        if doubled := sum(count - 1 for count in members.values()):
            self.faults.append(f"{where}: {doubled} of {len(members)} runs were trained twice, in different jobs")


def run(folder: Path, rounds: int, seed: int) -> dict[str, Any]:
    """Does the rounds, and returns the counts, the faults and the verdict.

    Args:
        folder: an empty folder to work in.
        rounds: how many.
        seed: of the pauses.
    """
    draw = random.Random(seed)
    pauses = [draw.uniform(0, 20) for _ in range(rounds)]
    tried = Campaign(folder)
    for number, pause in enumerate(tracked(pauses, "rounds")):
        tried.round(number, pause)
    return {"counts": dict(tried.counts), "faults": tried.faults, "verdict": "fail" if tried.faults else "pass"}


def main() -> None:
    """Does the rounds, prints the verdict and writes the result to a file."""
    parser = argparse.ArgumentParser(description="Two commands train a sweep as one would, and readers see no half.")
    parser.add_argument("--rounds", type=int, default=5, help="how many (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the pauses (default: %(default)s)")
    parser.add_argument("--output", type=Path, default=Path("results/reliability"))
    options = parser.parse_args()
    began = time.monotonic()
    with workspace() as folder:
        result = {"seed": options.seed, "rounds": options.rounds, **run(folder, options.rounds, options.seed)}
    print(*result["faults"], f"{result['counts']}: {result['verdict']}", sep="\n")
    write_result(options.output / "together.json", result, began)
    sys.exit(result["verdict"] != "pass")


if __name__ == "__main__":
    main()
