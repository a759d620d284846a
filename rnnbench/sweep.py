"""A sweep's plan: which runs a command asks for, which of them are done, and how the others make jobs.

Axes of foldable numbers (`rnnbench.config.foldable`) are folded: the runs that differ in them alone are one job,
trained as one program. All other axes multiply the jobs.
"""

import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from hydra.core.override_parser.types import Override
from hydra.core.utils import JobReturn
from omegaconf import DictConfig

from rnnbench.config import Config, cfg_of_member, foldable, parse, run_id
from rnnbench.errors import DivergedError, FailedJobsError, Failure, UserError
from rnnbench.records import is_complete, is_held, job_folders, record_plan, runs_table
from rnnbench.targets import is_number


class Option(NamedTuple):
    """One of the values of an axis: as a number, where it is one, and as an override."""

    number: float | None
    override: str


Axis = tuple[str, list[Option]]
"""A key, and its values."""


class Plan(NamedTuple):
    """A sweep's runs.

    Attributes:
        jobs: the overrides of each job.
        runs: by output folder and run id, what the command asks for: task, model and steps.
        left: how many of them are to be trained.
        diverged: run ids of those that did before.
    """

    jobs: list[list[str]]
    runs: dict[str, dict[str, dict[str, Any]]]
    left: int
    diverged: list[str]

    @property
    def size(self) -> int:
        """How many runs the command asks for."""
        return sum(map(len, self.runs.values()))


def plan(overrides: Sequence[Override], compose: Callable[[list[str]], DictConfig]) -> Plan:
    """The jobs that train what is left of a sweep.

    A run that is complete is left out. A job that was interrupted is planned again as it was, so that it goes on, if
    the sweep asks for all its runs.

    Args:
        overrides: Hydra's, of which the last for a key counts.
        compose: a job's overrides to its configuration.

    Raises:
        UserError: an axis is no list of values, or a combination is no valid configuration.
    """
    axes = [_axis(override) for override in {o.get_key_element(): o for o in overrides}.values()]
    records: dict[str, _Records] = {}
    jobs: list[list[str]] = []
    runs: dict[str, dict[str, dict[str, Any]]] = {}
    left = 0
    diverged: list[str] = []
    for point, folded, cfg in _programs(axes, compose):
        members = [
            dict(zip(folded, values, strict=True)) for values in itertools.product(*(dict(axes)[key] for key in folded))
        ]
        configs = [parse(cfg_of_member(cfg, {key: option.number for key, option in m.items()})) for m in members]
        by_id = dict(zip(map(run_id, configs), members, strict=True))
        first = configs[0]
        if first.output not in records:
            records[first.output] = _Records.read(first.output)
        populations = records[first.output].populations(list(by_id), first)
        if not first.overwrite:
            diverged += [run for run in by_id if records[first.output].complete.get(run) == "diverged"]
        about = {"task": first.task["name"], "model": first.model.name, "steps": first.train.steps}
        runs.setdefault(first.output, {}).update(dict.fromkeys(by_id, about))
        left += sum(map(len, populations))
        jobs += [_job(point, folded, [by_id[run] for run in population]) for population in populations]
    places = (f"population.place={number}/{len(jobs)}" for number in itertools.count(1))
    return Plan([[*job, place] for job, place in zip(jobs, places, strict=False)], runs, left, diverged)


def refuse_several_processes(coordinator: str | None) -> None:
    """A sweep's plan hangs on what is on disk, so that processes which plan side by side would not agree.

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
    """Says what a sweep is about to do, and notes it for `rnnbench status`.

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
    print(f"rnnbench: {text}", file=sys.stderr)
    if planned.diverged and not planned.jobs:
        raise DivergedError(
            f"{len(planned.diverged)} of {planned.size} runs diverged when they were trained, among them "
            f"{planned.diverged[0]}; `rnnbench status {next(iter(planned.runs))}` counts them"
        )


def run(jobs: Sequence[list[str]], launch: Callable[[list[list[str]]], Sequence[JobReturn]]) -> None:
    """Launches the jobs, and those that another process holds again, once it is done with them.

    Raises:
        FailedJobsError: some failed.
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
        except Exception as error:  # of as many kinds as there are launchers
            raise UserError(
                f"the launcher failed ({type(error).__name__}: {error}); what was recorded is kept, "
                "and the same command goes on from there"
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
    """Waits until other processes are done with some of these folders; which."""
    if held:
        jobs = f"{len(held)} jobs" if len(held) > 1 else "a job"
        print(f"rnnbench: waiting for {jobs} that another process trains (Ctrl-C leaves them to it)", file=sys.stderr)
    while held:
        if released := [folder for folder in held if not is_held(Path(folder))]:
            return released
        time.sleep(1)
    return []


def _axis(override: Override) -> Axis:
    key = override.get_key_element()
    if not override.is_sweep_override():
        return key, [Option(None, f"{key}={override.get_value_element_as_str()}")]
    if not override.is_discrete_sweep():
        raise UserError(
            f"{override.input_line}: expected values to try, such as {key}=1,2 or {key}='range(3)'; "
            "an interval has no end of them"
        )
    texts = [f"{key}={text}" for text in override.sweep_string_iterator()]
    return key, [
        Option(cast(float, v) if is_number(v) else None, t)
        for v, t in zip(override.sweep_iterator(), texts, strict=True)
    ]


def _programs(
    axes: Sequence[Axis], compose: Callable[[list[str]], DictConfig]
) -> Iterable[tuple[dict[str, str], list[str], DictConfig]]:
    """Every point of the axes that are not folded: the overrides by key, the keys that are folded, the configuration.

    What can be folded hangs on the point: another cell has other numbers.
    """
    numeric = {key for key, options in axes if len(options) > 1 and all(o.number is not None for o in options)}
    for first in itertools.product(*(options[:1] if key in numeric else options for key, options in axes)):
        cfg = compose([option.override for option in first])
        config = parse(cfg)
        can = foldable(config) if config.population.max_size > 1 else set()
        folded = [key for key, _ in axes if key in numeric & can]
        others = numeric - can
        points = (options if key in others else [own] for (key, options), own in zip(axes, first, strict=True))
        for point in itertools.product(*points):
            yield _named(axes, point), folded, compose([option.override for option in point]) if others else cfg


def _named(axes: Sequence[Axis], choice: Iterable[Option]) -> dict[str, str]:
    return {key: option.override for (key, _), option in zip(axes, choice, strict=True)}


def _job(point: dict[str, str], folded: Sequence[str], members: Sequence[dict[str, Option]]) -> list[str]:
    """A job's overrides; a run by itself has none but its own."""
    point = point | {key: members[0][key].override for key in folded}
    if len(members) == 1:
        return list(point.values())
    table = ",".join(f"{key}:[{','.join(repr(member[key].number) for member in members)}]" for key in folded)
    return [*(text for key, text in point.items() if key not in folded), f"population.members={{{table}}}"]


class _Records(NamedTuple):
    """What is known of the runs in a folder: statuses of those that are complete, the runs of each job that is not."""

    complete: dict[str, str]
    interrupted: list[list[str]]

    @classmethod
    def read(cls, output: str) -> "_Records":
        complete: dict[str, str] = {}
        interrupted = []
        for folder in job_folders(output) if Path(output).is_dir() else ():
            rows = runs_table(folder, ["run_id", "status"]).to_pylist()
            runs = [row["run_id"] for row in rows]
            if is_complete(folder, rows):
                complete.update((row["run_id"], row["status"]) for row in rows)
            elif runs:
                interrupted.append(runs)
        return cls(complete, interrupted)

    def populations(self, runs: Sequence[str], config: Config) -> list[list[str]]:
        """The runs that are left, as populations."""
        if config.overwrite:
            return _parts(list(runs), config.population.max_size)
        left = dict.fromkeys(run for run in runs if run not in self.complete)
        found = []
        for job in self.interrupted:
            if all(run in left for run in job):
                found.append(job)
                for run in job:
                    del left[run]
        return found + _parts(list(left), config.population.max_size)


def _parts(runs: list[str], most: int) -> list[list[str]]:
    """Equal parts, but for one, of at most so many."""
    count = math.ceil(len(runs) / most)
    size = math.ceil(len(runs) / count) if count else 1
    return [runs[start : start + size] for start in range(0, len(runs), size)]
