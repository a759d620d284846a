"""Launches the jobs of a plan, and waits for jobs that other processes are training."""

import os
import sys
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from hydra.core.utils import JobReturn

from rnnbench.config.messages import name_left_out
from rnnbench.errors import DivergedError, FailedJobsError, Failure, UserError
from rnnbench.records.folders import is_held
from rnnbench.records.plans import record_plan
from rnnbench.sweeps.plan import Plan


def refuse_several_processes(coordinator: str | None) -> None:
    """Refuses to plan a sweep in several processes: a plan depends on the disk, so their plans might differ.

    Raises:
        UserError: this process is one of several.
    """
    if coordinator is not None or int(os.environ.get("SLURM_STEP_NUM_TASKS", "1")) > 1:
        raise UserError(
            "a sweep (-m) is planned by one process, and this is one of several: expected launcher=slurm with "
            "hydra.launcher.nodes or tasks_per_node, whose jobs have several each, or the members of one population "
            "without -m, such as 'population.members={seed:[0,1,2,3]}'"
        )


def announce(planned: Plan) -> None:
    """Prints what a sweep is about to do, and saves its runs for `rnnbench status`.

    Raises:
        DivergedError: nothing is left to train, and some runs diverged.
    """
    for output, runs in planned.runs.items():
        record_plan(output, runs)
    done = planned.size - planned.left
    text = f"a sweep of {planned.size} runs"
    if done:
        text += f", {done} of them complete (overwrite=true trains them again)"
    if planned.jobs and len(planned.jobs) < planned.left:
        text += f"; {planned.left} to train in {len(planned.jobs)} job{'s' * (len(planned.jobs) > 1)}"
    name_left_out(planned.left_out)
    print(f"rnnbench: {text}", file=sys.stderr)
    if planned.diverged and not planned.jobs:
        raise DivergedError(
            f"{len(planned.diverged)} of {planned.size} runs diverged when they were trained, among them "
            f"{planned.diverged[0]}; `rnnbench status {next(iter(planned.runs))}` counts them"
        )


def run(jobs: Sequence[list[str]], launch: Callable[[list[list[str]]], Sequence[JobReturn]]) -> None:
    """Launches the jobs. A job that another process is training is launched again when that process releases it.

    Raises:
        FailedJobsError: some jobs failed.
        UserError: the launcher failed.
    """
    failures: list[Failure] = []
    held: dict[str, list[str]] = {}
    free = list(jobs)
    while free:
        try:
            results = launch(free)
        except UserError:
            raise
        except Exception as error:  # each launcher raises its own kinds of errors
            raise UserError(
                f"the launcher failed ({type(error).__name__}: {error}); what was recorded is kept, "
                "and the same command resumes"
            ) from error
        for job, result in zip(free, results, strict=True):
            failure: Failure | None = result.return_value
            if failure is not None and failure.held is not None:
                held[failure.held] = job
            elif failure is not None:
                failures.append(failure)
        free = [held.pop(folder) for folder in _released(held)]
    if failures:
        raise FailedJobsError(failures, len(jobs))


def _released(held: Collection[str]) -> list[str]:
    """Waits until other processes release some of these folders, and returns the released ones."""
    if held:
        jobs = f"{len(held)} jobs" if len(held) > 1 else "a job"
        print(f"rnnbench: waiting for {jobs} that another process trains (Ctrl-C leaves them to it)", file=sys.stderr)
    while held:
        if released := [folder for folder in held if not is_held(Path(folder))]:
            return released
        time.sleep(1)
    return []
