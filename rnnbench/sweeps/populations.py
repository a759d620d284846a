"""Groups runs that differ only in foldable numbers into populations, each trained as one program."""

import dataclasses
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rnnbench.config.identity import flatten, foldable, run_id
from rnnbench.config.schema import Config
from rnnbench.errors import UserError
from rnnbench.records.damage import tell
from rnnbench.records.folders import job_folders
from rnnbench.records.reader import is_complete, runs_table


class EarlierRuns(NamedTuple):
    """The runs that an output folder already contains.

    Attributes:
        complete: the status of each complete run, by run id.
        interrupted: the run ids of each job that is not complete.
    """

    complete: dict[str, str]
    interrupted: list[list[str]]

    @classmethod
    def read(cls, output: str) -> "EarlierRuns":
        """Reads the jobs in a folder. The folder need not exist. What cannot be read is named on stderr."""
        complete: dict[str, str] = {}
        interrupted = []
        for folder in job_folders(output) if Path(output).is_dir() else ():
            try:
                rows = runs_table(folder, ["run_id", "status"]).to_pylist()
            except UserError as error:
                tell(str(error))
                continue
            runs = [row["run_id"] for row in rows]
            if is_complete(folder, rows):
                complete.update((row["run_id"], row["status"]) for row in rows)
            elif runs:
                interrupted.append(runs)
        return cls(complete, interrupted)

    def populations(self, runs: Sequence[str], config: Config) -> list[list[str]]:
        """Returns the runs left to train, as populations. An interrupted job is kept whole if `runs` has all its runs.

        Args:
            runs: the ids of runs that one program can train.
            config: the configuration of one of them.
        """
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


def populations(configs: Sequence[Config]) -> list[list[Config]]:
    """Returns the runs left to train, as populations. Complete runs are left out.

    As in jobs from the command line, each `config.population` states the population's members and, if there are several
    populations, which one of how many it is.

    Args:
        configs: the configurations of the runs, in any order.
    """
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


def _parts(runs: list[str], most: int) -> list[list[str]]:
    """Splits runs into parts of at most `most`, all equal except the last, which may be smaller."""
    count = math.ceil(len(runs) / most)
    size = math.ceil(len(runs) / count) if count else 1
    return [runs[start : start + size] for start in range(0, len(runs), size)]
