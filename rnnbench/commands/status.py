"""`rnnbench status DIR`: shows the progress of the sweeps in a folder."""

import functools
import multiprocessing
import os
import signal
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from rich.text import Text

from rnnbench.analysis.labels import cell_label, title
from rnnbench.commands import terminal
from rnnbench.commands.parser import Parser
from rnnbench.errors import UserError
from rnnbench.records.damage import tell
from rnnbench.records.folders import is_held, jobs_among, walk
from rnnbench.records.plans import plans_among
from rnnbench.records.reader import is_complete, known_provenance, runs_table
from rnnbench.records.schemas import COMPLETE

COLUMNS = ["run_id", "status", "step", "train.steps", "task.name", "model.name"]

KINDS = ("finished", "diverged", "running", "interrupted", "missing")


MANY = 1000
"""Number of jobs from which on several processes read them."""

PROCESSES = min(os.cpu_count() or 1, 4)


class _Job(NamedTuple):
    rows: list[dict[str, Any]]  # the columns `COLUMNS` of its runs
    held: bool
    complete: bool
    sessions: list[dict[str, Any]]


class _Run(NamedTuple):
    task: str
    model: str
    kind: str
    reached: int  # training steps
    asked: int

    @property
    def left(self) -> int:
        return 0 if self.kind in COMPLETE else self.asked - self.reached


def main(argv: Sequence[str] | None = None) -> int:
    """Shows a table of the runs in a folder by task and cell, and returns the exit code.

    Args:
        argv: the command line after `status`.

    Raises:
        UserError: there is no such folder, or it contains no records of rnnbench.
    """
    parser = Parser(
        prog="rnnbench status",
        description="Shows the progress of the runs: finished, diverged, running, interrupted (the same command "
        "resumes them, or trains them further) or missing (part of a sweep, but not started), and an estimate of the "
        "time left.",
    )
    terminal.add_results_folder(parser)
    arguments = parser.parse_args(argv)
    runs, seconds_per_step, busy = _read(arguments.folder)

    table = terminal.table("", "runs", *KINDS, "time left")
    groups: dict[tuple[str, str], list[_Run]] = defaultdict(list)
    for run in runs:
        groups[run.task, run.model].append(run)
    rates = list(seconds_per_step.values())
    usual = sum(rates) / len(rates) if rates else None
    total = 0.0
    for (task, model), group in sorted(groups.items()):
        counts = Counter(run.kind for run in group)
        rate = seconds_per_step.get((task, model), usual)
        work = sum(run.left for run in group)
        left = None if rate is None and work else (rate or 0.0) * work / busy
        total += left or 0.0
        numbers = [str(counts[kind]) if counts[kind] else "" for kind in KINDS]
        table.add_row(Text(f"{title(task)}: {cell_label(model)}"), str(len(group)), *numbers, _duration(left))
    counts = Counter(run.kind for run in runs)
    table.add_section()
    table.add_row("all", str(len(runs)), *(str(counts[k]) if counts[k] else "" for k in KINDS), _duration(total))
    terminal.console().print(table)
    return 0


def _read(folder: Path) -> tuple[list[_Run], dict[tuple[str, str], float], int]:
    """Returns the runs, the seconds per training step of a run by task and cell, and the number of active jobs."""
    runs: dict[str, _Run] = {}
    spent: dict[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    busy = 0
    walked = [*walk(folder)]
    for job in _read_jobs([*jobs_among(walked)]):
        busy += job.held and not job.complete
        for row in job.rows:
            is_done = job.complete or row["status"] == "diverged"
            kind = row["status"] if is_done else "running" if job.held else "interrupted"
            # A finished job that is not complete has lost records.
            reached = row["step"] if is_done or row["status"] == "running" else 0
            run = _Run(row["task.name"], row["model.name"], kind, reached, row["train.steps"])
            before = runs.get(row["run_id"])
            if before is None or KINDS.index(kind) < KINDS.index(before.kind):
                runs[row["run_id"]] = run
        for session in job.sessions:
            own = spent[job.rows[0]["task.name"], job.rows[0]["model.name"]] if job.rows else [0.0, 0.0]
            own[0] += session["seconds"]
            own[1] += len(job.rows) * (session["to_step"] - session["from_step"])
    for run_id, about in plans_among(walked).items():
        known = runs.get(run_id)
        if known is None:
            runs[run_id] = _Run(about["task"], about["model"], "missing", 0, about["steps"])
        elif known.asked < about["steps"] and known.kind != "diverged":
            kind = "interrupted" if known.kind == "finished" else known.kind
            runs[run_id] = known._replace(kind=kind, asked=about["steps"])
    if not runs:
        raise UserError(f"{folder}: no records of rnnbench in it or below it")
    rates = {group: seconds / steps for group, (seconds, steps) in spent.items() if steps}
    return list(runs.values()), rates, max(busy, 1)


def _read_jobs(folders: Sequence[Path]) -> Iterator[_Job]:
    """Yields what is known of each job that can be read. Of very many, several processes check the files."""
    if len(folders) < MANY:
        yield from filter(None, map(_read_job, folders))
        return
    # Started afresh, since Arrow's threads would not survive a fork. An interrupt ends this process, and so the others.
    start = multiprocessing.get_context("spawn")
    ignore_interrupts = functools.partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    with ProcessPoolExecutor(PROCESSES, start, initializer=ignore_interrupts) as pool:
        yield from filter(None, pool.map(_read_job, folders, chunksize=max(MANY // 10, 1)))


def _read_job(folder: Path) -> _Job | None:
    """Returns what is known of a job, or None if its records cannot be read, which is said on stderr."""
    try:
        table, provenance = runs_table(folder, COLUMNS), known_provenance(folder)
    except UserError as error:
        tell(f"left out: {error}")
        return None
    return _Job(table.to_pylist(), is_held(folder), is_complete(folder, table), provenance["sessions"])


def _duration(seconds: Any) -> str:
    if seconds is None:
        return "?"
    if seconds < 1:
        return ""
    minutes, hours = seconds / 60, seconds / 3600
    return f"{seconds:.0f} s" if minutes < 2 else f"{minutes:.0f} min" if hours < 2 else f"{hours:.1f} h"
