"""A sweep's plan: which runs a command asks for, which are done, and how the others are grouped into jobs.

Axes of foldable numbers (`rnnbench.config.identity.foldable`) are folded: runs that differ only in these numbers form
one job, which is trained as one program. All other axes multiply the number of jobs.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig

from rnnbench.config.annotations import is_number
from rnnbench.config.applicable import check_applicable
from rnnbench.config.identity import foldable, run_id
from rnnbench.config.overrides import check_axes
from rnnbench.config.parse import cfg_of_member, parse
from rnnbench.errors import InapplicableError
from rnnbench.sweeps.populations import EarlierRuns, refuse_two_lengths


class Option(NamedTuple):
    """One value of an axis, as a number (if it is one) and as an override."""

    number: float | None
    override: str


Axis = tuple[str, list[Option]]
"""A key and its values."""


class Plan(NamedTuple):
    """A sweep's runs.

    Attributes:
        jobs: the overrides of each job.
        runs: the task, model and steps of each requested run, by output folder and run id.
        left: the number of runs left to train.
        diverged: the ids of the runs that have already diverged.
        left_out: why combinations are left out, whose choices do not go together.
    """

    jobs: list[list[str]]
    runs: dict[str, dict[str, dict[str, Any]]]
    left: int
    diverged: list[str]
    left_out: list[str]

    @property
    def size(self) -> int:
        """Returns the number of runs that the command asks for."""
        return sum(map(len, self.runs.values()))


def plan(overrides: Sequence[Override], compose: Callable[[list[str]], DictConfig]) -> Plan:
    """Returns the jobs that train what is left of a sweep.

    Complete runs are left out. So are combinations whose choices do not go together, unless there are no others. A job
    that was interrupted or trained for fewer steps is planned again unchanged if the sweep asks for all its runs, so
    that it can go on.

    Args:
        overrides: parsed Hydra overrides; the last one for each key counts.
        compose: composes a job's configuration from its overrides.

    Raises:
        UserError: an axis has no values or too many, a combination is not a valid configuration, or a run is asked for
            twice, for different numbers of steps; or the choices of no combination go together.
    """
    last = {override.get_key_element(): override for override in overrides}
    check_axes(last.values())
    axes = list(map(_axis, last.values()))
    earlier: dict[str, EarlierRuns] = {}
    jobs: list[list[str]] = []
    runs: dict[str, dict[str, dict[str, Any]]] = {}
    left = 0
    diverged: list[str] = []
    asked_for: list[tuple[str, str, int]] = []
    inapplicable: dict[str, InapplicableError] = {}
    for point, folded, cfg in _programs(axes, compose):
        members = [
            dict(zip(folded, values, strict=True)) for values in itertools.product(*(dict(axes)[key] for key in folded))
        ]
        configs = [parse(cfg_of_member(cfg, {key: option.number for key, option in m.items()})) for m in members]
        try:
            for own in configs:
                check_applicable(own, folded)
        except InapplicableError as error:
            inapplicable[str(error)] = error
            continue
        by_id = dict(zip(map(run_id, configs), members, strict=True))
        first = configs[0]
        if first.output not in earlier:
            earlier[first.output] = EarlierRuns.read(first.output)
        populations = earlier[first.output].populations(list(by_id), first)
        if not first.overwrite:
            done = earlier[first.output].done(by_id, first.train.steps)
            diverged += [run for run, has_diverged in done.items() if has_diverged]
        about = {"task": first.task["name"], "model": first.model.name, "steps": first.train.steps}
        runs.setdefault(first.output, {}).update(dict.fromkeys(by_id, about))
        asked_for += [(first.output, run, first.train.steps) for run in by_id]
        left += sum(map(len, populations))
        jobs += [_job(point, folded, [by_id[run] for run in population]) for population in populations]
    if not runs and inapplicable:
        raise next(iter(inapplicable.values()))
    refuse_two_lengths(asked_for)
    places = (f"population.place={number}/{len(jobs)}" for number in itertools.count(1))
    return Plan(
        [[*job, place] for job, place in zip(jobs, places, strict=False)], runs, left, diverged, [*inapplicable]
    )


def _axis(override: Override) -> Axis:
    key = override.get_key_element()
    if not override.is_sweep_override():
        return key, [Option(None, f"{key}={override.get_value_element_as_str()}")]
    texts = [f"{key}={text}" for text in override.sweep_string_iterator()]
    return key, [Option(v if is_number(v) else None, t) for v, t in zip(override.sweep_iterator(), texts, strict=True)]


def _programs(
    axes: Sequence[Axis], compose: Callable[[list[str]], DictConfig]
) -> Iterable[tuple[dict[str, str], list[str], DictConfig]]:
    """Yields every point of the axes that are not folded: its overrides by key, the folded keys and its configuration.

    The keys that can be folded depend on the point, because different cells have different numbers.
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
    """Returns a job's overrides. A job with only one run has no `population.members`."""
    point = point | {key: members[0][key].override for key in folded}
    if len(members) == 1:
        return list(point.values())
    table = ",".join(f"{key}:[{','.join(repr(member[key].number) for member in members)}]" for key in folded)
    return [*(text for key, text in point.items() if key not in folded), f"population.members={{{table}}}"]
