"""Groups runs that differ only in foldable numbers into populations, each trained as one program."""

import dataclasses
import json
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rnnbench.config.identity import flatten, foldable, run_id
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.records.damage import tell
from rnnbench.records.folders import job_folders
from rnnbench.records.lengths import COLUMNS, is_done, reached
from rnnbench.records.reader import is_complete, runs_table


class EarlierJob(NamedTuple):
    """A job that an output folder already contains.

    Attributes:
        folder: its folder.
        rows: its runs, with the columns that say how far they are trained.
        is_complete: whether it has reached its end.
    """

    folder: Path
    rows: list[dict[str, Any]]
    is_complete: bool

    def is_done(self, steps: int) -> bool:
        """Returns whether nothing is left to train when its runs are asked for `steps` steps."""
        return is_done(self.folder, self.rows, self.is_complete, steps)


class EarlierRuns(NamedTuple):
    """The runs that an output folder already contains.

    Attributes:
        jobs: the jobs of each run by run id, the one that was trained furthest first.
    """

    jobs: dict[str, list[EarlierJob]]

    @classmethod
    def read(cls, output: str) -> "EarlierRuns":
        """Reads the jobs in a folder. The folder need not exist. What cannot be read is named on stderr."""
        found = []
        for folder in job_folders(output) if Path(output).is_dir() else ():
            try:
                runs = runs_table(folder, COLUMNS)
            except UserError as error:
                tell(str(error))
                continue
            if runs.num_rows:
                found.append(EarlierJob(folder, runs.to_pylist(), is_complete(folder, runs)))
        jobs: dict[str, list[EarlierJob]] = {}
        for job in sorted(found, key=lambda job: -reached(job.rows)):
            for row in job.rows:
                jobs.setdefault(row["run_id"], []).append(job)
        return cls(jobs)

    def done(self, runs: Iterable[str], steps: int) -> dict[str, bool]:
        """Returns which runs have nothing left to train when they are asked for `steps` steps: whether each diverged.

        Raises:
            UserError: a run was trained for more steps, and not evaluated at this one.
        """
        found = {}
        for job in self._jobs_of(runs):
            if job.is_done(steps):
                found.update({row["run_id"]: row["status"] == "diverged" and row["step"] <= steps for row in job.rows})
        return {run: found[run] for run in runs if run in found}

    def populations(self, runs: Sequence[str], config: Config) -> list[list[str]]:
        """Returns the runs left to train, as populations. An earlier job is kept whole if `runs` has all its runs.

        Args:
            runs: the ids of runs that one program can train.
            config: the configuration of one of them.
        """
        if config.overwrite:
            return _parts(runs, _size(len(runs), config.population.max_size))
        done = self.done(runs, config.train.steps)
        left = dict.fromkeys(run for run in runs if run not in done)
        found = []
        for job in self._jobs_of(left):
            members = [row["run_id"] for row in job.rows]
            if all(run in left for run in members):
                found.append(members)
                for run in members:
                    del left[run]
        # By all runs, not only those that are left: while another process trains them, its parts must be found again.
        return found + _parts(list(left), _size(len(runs), config.population.max_size))

    def _jobs_of(self, runs: Iterable[str]) -> list[EarlierJob]:
        return list({job.folder: job for run in runs for job in self.jobs.get(run, ())}.values())


def refuse_two_lengths(asked_for: Iterable[tuple[str, str, int]]) -> None:
    """Refuses to train one run for two numbers of steps, since the shorter training is a part of the longer one.

    Args:
        asked_for: the output folder, the id and the steps of each run.

    Raises:
        UserError: a run is asked for twice.
    """
    known: dict[tuple[str, str], int] = {}
    for output, run, steps in asked_for:
        if known.setdefault((output, run), steps) != steps:
            fewer, more = sorted((known[output, run], steps))
            raise UserError(
                f"train.steps: expected one number of steps for each run, got {fewer} and {more} for {run}; ask for "
                f"{more} alone, whose records hold those of the first {fewer} steps"
            )


def populations(configs: Sequence[Config]) -> list[list[Config]]:
    """Returns the runs left to train, as populations. Complete runs are left out.

    As in jobs from the command line, each `config.population` states the population's members and, if there are several
    populations, which one of how many it is.

    Args:
        configs: the configurations of the runs, in any order.

    Raises:
        UserError: a run is asked for twice, for different numbers of steps.
    """
    refuse_two_lengths((config.output, run_id(config), config.train.steps) for config in configs)
    programs: dict[str, dict[str, Config]] = {}
    for config in configs:
        values = flatten(dataclasses.asdict(config))
        folded = foldable(config) if config.population.max_size > 1 else set()
        shared = {key: value for key, value in values.items() if key not in folded}
        programs.setdefault(json.dumps(shared, sort_keys=True), {})[run_id(config)] = config
    known = {output: EarlierRuns.read(output) for output in {config.output for config in configs}}
    found = []
    for by_id in programs.values():
        first = next(iter(by_id.values()))
        for population in known[first.output].populations(list(by_id), first):
            found.append([by_id[run] for run in population])
    places = [f"{number}/{len(found)}" if len(found) > 1 else None for number in range(1, len(found) + 1)]
    return [_job(members, place) for members, place in zip(found, places, strict=True)]


def _job(configs: Sequence[Config], place: str | None) -> list[Config]:
    """Returns a population's configurations with its members and its place filled in."""
    values = [flatten(dataclasses.asdict(config)) for config in configs]
    folded = [key for key in sorted(foldable(configs[0])) if any(own[key] != values[0][key] for own in values)]
    members = {key: [own[key] for own in values] for key in folded} or None
    population = dataclasses.replace(configs[0].population, members=members, place=place)
    return [dataclasses.replace(config, population=population) for config in configs]


def _size(runs: int, most: int) -> int:
    """Returns the size of parts of at most `most` runs, all equal except the last, which may be smaller."""
    return math.ceil(runs / math.ceil(runs / most))


def _parts(runs: Sequence[str], size: int) -> list[list[str]]:
    return [list(runs[start : start + size]) for start in range(0, len(runs), size)]
